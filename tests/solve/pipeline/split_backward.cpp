#include <gtest/gtest.h>

#include "shunt/solve/pipeline/gpipe.hpp"
#include "shunt/solve/pipeline/one_f_one_b.hpp"
#include "shunt/solve/pipeline/split_backward.hpp"
#include "support/pipeline_lists.hpp"

namespace shunt::tests::split_backward_test {
namespace {

TEST(split_backward, weights_fill_the_bubbles_where_that_is_shorter) {
  pipeline_job const job{.stages = 4, .microbatches = 6};
  auto const fused = one_f_one_b{}(job), split = split_backward{}(job, fused.plan);
  EXPECT_LT(split.objective, fused.objective);
  EXPECT_EQ(count_of(split.plan, 0, op_kind::backward), 0);
  EXPECT_EQ(count_of(split.plan, 0, op_kind::backward_weight), 6);
}

TEST(split_backward, a_plan_that_does_not_gain_stays) {
  pipeline_job const job{.stages = 1, .microbatches = 3};
  auto const fused = one_f_one_b{}(job);
  EXPECT_EQ(split_backward{}(job, fused.plan), fused);
}

}  // namespace
}  // namespace shunt::tests::split_backward_test
