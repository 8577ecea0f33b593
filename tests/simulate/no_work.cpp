#include "shunt/simulate/no_work.hpp"

#include <gtest/gtest.h>

#include "shunt/core/error.hpp"
#include "shunt/execute/inline_executor.hpp"
#include "shunt/program/builder.hpp"
#include "shunt/simulate/simulated_executor.hpp"
#include "support/sample_programs.hpp"

namespace shunt::tests::no_work_test {
namespace {

TEST(no_work, is_enough_for_times_and_for_programs_without_buffers) {
  program_builder with_buffer(1), without(1);
  with_buffer.buffer(0, 8, true);
  with_buffer.compute(0, {.microbatch = 2}, {}, {{0, 0, 8}});
  without.compute(0, {.microbatch = 2}, {}, {});
  no_work none;
  simulated const clock{.cost = uneven_costs{}};
  EXPECT_EQ(clock.run(with_buffer.peek(), none), clock.run(with_buffer.peek()));
  EXPECT_EQ(inline_executor{}.run(without.peek(), none).done[0], (progress{1, 0}));
  EXPECT_THROW((void)inline_executor{}.run(with_buffer.peek(), none), invalid_program);
}

}  // namespace
}  // namespace shunt::tests::no_work_test
