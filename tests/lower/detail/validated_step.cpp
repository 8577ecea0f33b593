#include "shunt/lower/detail/validated_step.hpp"

#include <gtest/gtest.h>

#include <string>

#include "shunt/core/error.hpp"
#include "shunt/program/builder.hpp"

namespace shunt::tests::validated_step_test {
namespace {

constexpr region state{0, 0, 8}, kept{1, 0, 8}, gradient{2, 0, 8}, flag{2, 8, 8};

TEST(validated_step, is_found_with_the_copy_that_keeps_its_state) {
  program_builder b(1);
  region const other_state{3, 0, 8}, other_kept{4, 0, 8};
  b.copy(0, other_state, other_kept);
  b.compute(0, {.kind = op_kind::step, .stage = 5}, {gradient, flag, other_state}, {other_state});
  b.copy(0, state, kept);
  b.compute(0, {.kind = op_kind::step, .stage = 2}, {gradient, flag, state}, {state});
  auto const steps = detail::steps_of(b.peek().ranks[0], 0);
  ASSERT_EQ(steps.size(), 2U);  // by stage
  EXPECT_EQ(steps[0].stage, 2);
  EXPECT_EQ(steps[0].keep, 2);
  EXPECT_EQ(steps[0].step, 3);
  EXPECT_EQ(steps[0].gradient, gradient);
  EXPECT_EQ(steps[0].flag, flag);
  EXPECT_EQ(steps[0].state, state);
  EXPECT_EQ(steps[0].kept, kept);
  EXPECT_EQ(steps[1].stage, 5);
  EXPECT_EQ(steps[1].kept, other_kept);
}

TEST(validated_step, needs_gradient_flag_and_state_and_a_copy) {
  auto const refusal = [](bool whole) {
    program_builder b(2);
    if (whole)
      b.compute(1, {.kind = op_kind::step}, {gradient, flag, state}, {state});
    else
      b.compute(1, {.kind = op_kind::step}, {gradient, state}, {state});
    try {
      (void)detail::steps_of(b.peek().ranks[1], 1);
      return std::string();
    } catch (invalid_program const& e) {
      return std::string(e.what());
    }
  };
  EXPECT_EQ(refusal(false),
            "rank 1, instruction 0: the step doesn't read gradient, flag and state");
  EXPECT_EQ(refusal(true),
            "rank 1, instruction 0: the step has no copy of its state to go back to");
}

}  // namespace
}  // namespace shunt::tests::validated_step_test
