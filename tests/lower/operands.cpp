#include "shunt/lower/operands.hpp"

#include <gtest/gtest.h>

#include <vector>

#include "shunt/core/error.hpp"
#include "shunt/execute/work.hpp"
#include "support/refusals.hpp"

namespace shunt::tests::operands_test {
namespace {

/// Operands that are written and read again are the same, name by name.
template <class Operands>
void expect_round_trip(Operands on) {
  auto const reads = on.reads();
  auto const writes = on.writes();
  auto const again = Operands::of(reads, writes);
  EXPECT_EQ(again.reads(), reads);
  EXPECT_EQ(again.writes(), writes);
  EXPECT_EQ(operands_of<Operands>(task{.reads = reads, .writes = writes}).reads(), reads);
  EXPECT_THROW((void)operands_of<Operands>(task{.writes = writes}), invalid_program);
}

region r(std::int32_t n) { return {n, 0, 8}; }

TEST(operands, what_is_written_is_read) {
  expect_round_trip(forward_operands{r(0), r(1), r(2), r(3)});
  expect_round_trip(backward_input_operands{r(0), r(1), r(2), r(3), r(4)});
  expect_round_trip(backward_weight_operands{r(0), r(1), r(2), r(3), r(4), r(5)});
  expect_round_trip(backward_operands{r(0), r(1), r(2), r(3), r(4), r(5), r(6)});
  expect_round_trip(step_operands{r(0), r(1), r(2)});
  expect_round_trip(validated_step_operands{r(0), r(1), r(2), r(3)});
  expect_round_trip(gradient_norm_operands{r(0), r(1), r(2)});
  expect_round_trip(validate_step_operands{r(0), r(1), r(2)});
  expect_round_trip(redo_step_operands{r(0), r(1), r(2), r(3)});
}

TEST(operands, a_whole_backward_is_its_two_parts) {
  backward_operands const on{r(0), r(1), r(2), r(3), r(4), r(5), r(6)};
  EXPECT_EQ(on.of_input().input_gradient, on.input_gradient);
  EXPECT_EQ(on.of_input().stash, on.stash);
  EXPECT_EQ(on.of_weight().gradient, on.gradient);
  EXPECT_EQ(on.of_weight().output_gradient, on.output_gradient);
}

TEST(operands, another_number_is_told) {
  std::vector<region> const two{r(0), r(1)};
  EXPECT_EQ(thrown_by([&] {
              (void)operands_of<step_operands>(
                  task{.op = {.kind = op_kind::step}, .reads = two, .writes = two});
            }),
            "step reads 2 regions and writes 2, expected are 3 and 1");
}

}  // namespace
}  // namespace shunt::tests::operands_test
