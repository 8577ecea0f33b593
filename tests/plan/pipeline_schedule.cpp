#include <gtest/gtest.h>

#include "shunt/plan/pipeline_schedule.hpp"

namespace shunt::tests::pipeline_schedule_test {
namespace {

TEST(pipeline_schedule, order_step_and_pairs_count_for_equality) {
  pipeline_schedule const plan{
      .order = {{{op_kind::forward, 0, 0, 0}, {op_kind::backward, 0, 0, 1}}}};
  auto other = plan;
  EXPECT_EQ(other, plan);
  other.staggered_step = true;
  EXPECT_NE(other, plan);
  other = plan;
  other.overlapped = {{0}};
  EXPECT_NE(other, plan);
  other = plan;
  other.order[0][0].microbatch = 1;
  EXPECT_NE(other, plan);
}

}  // namespace
}  // namespace shunt::tests::pipeline_schedule_test
