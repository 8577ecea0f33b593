#include <gtest/gtest.h>

#include "shunt/compose/packed_block.hpp"
#include "support/refusals.hpp"

namespace shunt::tests::packed_block_test {
namespace {

TEST(packed_block, a_single_stage_goes_forward_and_back_at_once) {
  pipeline_job const job{.costs = {.forward = 2, .backward_input = 3, .backward_weight = 1}};
  auto const block = packed_block(job);
  EXPECT_EQ(block.stages[0].forward, 0);
  EXPECT_EQ(block.stages[0].backward_input, 2);
  EXPECT_EQ(block.stages[0].backward_weight, 5);
  EXPECT_EQ(least_period(job, block), 6);
}

TEST(packed_block, a_period_below_the_work_of_a_rank_is_refused) {
  pipeline_job const job{.stages = 2, .microbatches = 4};
  EXPECT_EQ(least_period(job, packed_block(job, 3)), 3);
  EXPECT_EQ(field_of([&] { static_cast<void>(packed_block(job, 2)); }), "period");
}

}  // namespace
}  // namespace shunt::tests::packed_block_test
