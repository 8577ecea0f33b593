#include "shunt/solve/pipeline/search/merged_stages.hpp"

#include <gtest/gtest.h>

#include <vector>

#include "support/losses.hpp"

namespace shunt::tests::merged_stages_test {
namespace {

TEST(merged_stages, layers_that_every_pipeline_has_together_are_one) {
  auto job = without(losses_of(2, 2, 3, 2), {3}).job;
  job.costs.forward = {1, 2, 3, 4, 5, 6};
  job.costs.step = {1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2};  // by worker
  auto const borders = detail::borders_of(job);
  EXPECT_EQ(borders, (detail::merged_borders{0, 3, 6}));
  auto const made = detail::merged(job, borders);
  EXPECT_EQ(made.stages, 2);
  EXPECT_EQ(made.layout, stage_layout::linear());
  EXPECT_EQ(made.costs.forward, (per_stage{6, 15}));
  EXPECT_EQ(made.costs.backward_input, (per_stage{3, 3}));
  EXPECT_EQ(made.costs.step, (per_stage{3, 3, 6, 6}));
  EXPECT_EQ(made.stash.forward, (per_stage{3, 3}));
  EXPECT_EQ(made.dead, (std::vector<worker>{{1, 1}}));

  job.layout = stage_layout::custom({0, 0, 0, 1, 1, 1, 2, 2, 3, 3, 3, 3});
  EXPECT_EQ(detail::borders_of(job), (detail::merged_borders{0, 2, 3, 6}));
}

TEST(merged_stages, forwards_ascend_and_gradients_descend) {
  std::vector<operation> list;
  detail::append_spread(list, {.kind = op_kind::forward, .microbatch = 7}, 3, 5);
  detail::append_spread(list, {.kind = op_kind::backward_input, .microbatch = 7}, 3, 5);
  EXPECT_EQ(list, (std::vector<operation>{{op_kind::forward, 0, 3, 7},
                                          {op_kind::forward, 0, 4, 7},
                                          {op_kind::backward_input, 0, 4, 7},
                                          {op_kind::backward_input, 0, 3, 7}}));
}

}  // namespace
}  // namespace shunt::tests::merged_stages_test
