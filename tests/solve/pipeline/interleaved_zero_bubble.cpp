#include <gtest/gtest.h>

#include "shunt/solve/pipeline/interleaved_zero_bubble.hpp"
#include "support/pipeline_lists.hpp"

namespace shunt::tests::interleaved_zero_bubble_test {
namespace {

TEST(interleaved_zero_bubble, splits_every_backward_of_both_chunks) {
  pipeline_job const job{.stages = 4, .microbatches = 2, .layout = stage_layout::looped(2)};
  auto const plan = interleaved_zero_bubble{}.order(job);
  for (rank_id r : {0, 1}) {
    EXPECT_EQ(count_of(plan, r, op_kind::backward), 0);
    EXPECT_EQ(count_of(plan, r, op_kind::backward_input), 4);
    EXPECT_EQ(count_of(plan, r, op_kind::backward_weight), 4);
  }
  EXPECT_EQ(plan.order[0][0], (operation{op_kind::forward, 0, 0, 0}));
  EXPECT_EQ(plan.order[0][2],
            (operation{op_kind::forward, 0, 2, 0}));  // a group of two, then the next chunk
}

}  // namespace
}  // namespace shunt::tests::interleaved_zero_bubble_test
