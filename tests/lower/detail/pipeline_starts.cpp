#include <gtest/gtest.h>

#include <cstdint>
#include <vector>

#include "shunt/core/error.hpp"
#include "shunt/lower/detail/pipeline_starts.hpp"
#include "shunt/plan/pipeline_schedule.hpp"
#include "shunt/problem/pipeline_job.hpp"
#include "shunt/problem/stage_layout.hpp"
#include "shunt/solve/pipeline/one_f_one_b.hpp"

namespace shunt::tests::pipeline_starts_test {
namespace {

TEST(pipeline_starts, wait_for_the_list_and_for_inputs) {
  pipeline_job const job{.stages = 2, .microbatches = 2, .costs = {2, 1, 1, 1}, .transfer = 1};
  auto const found = detail::starts_of(job, one_f_one_b{}.order(job));
  EXPECT_EQ(found.forward, (std::vector<ticks>{0, 2, 3, 7}));
  EXPECT_EQ(found.gradient, (std::vector<ticks>{8, 12, 5, 9}));
  EXPECT_EQ(found.latest, 14);
  EXPECT_EQ(found.finished, (std::vector<std::int32_t>{1, 0}));
  EXPECT_TRUE(found.reductions.empty());
}

/// Both ranks hold stage 1 and step it; rank 1 does so before its last operation.
TEST(pipeline_starts, reductions_stand_before_what_starts_later) {
  pipeline_job const job{.pipelines = 2,
                         .stages = 2,
                         .microbatches = 1,
                         .costs = {1, 1, 0, 0},
                         .layout = stage_layout::custom({0, 0, 1, 1})};
  auto const f = [](int p, int s) { return operation{op_kind::forward, p, s, 0}; };
  auto const b = [](int p, int s) { return operation{op_kind::backward, p, s, 0}; };
  auto const step = [](int s) { return operation{.kind = op_kind::step, .stage = s}; };
  pipeline_schedule const plan{.order = {{f(0, 0), f(0, 1), b(0, 1), b(0, 0), step(1), step(0)},
                                         {f(1, 0), f(1, 1), b(1, 1), step(1), b(1, 0), step(0)}},
                               .staggered_step = true};
  auto const found = detail::starts_of(job, plan);
  ASSERT_EQ(found.reductions.size(), 2U);
  // Stage 1 ends everywhere at 3, when both last backwards start; rank 0 takes its turn earlier.
  EXPECT_EQ(found.reductions[0], (std::vector<detail::reduction_place>{{4, 1}, {4, 0}}));
  EXPECT_EQ(found.reductions[1], (std::vector<detail::reduction_place>{{3, 1}, {5, 0}}));
}

/// Rank 0 has both stages of a pipeline, ranks 1 and 2 one each. Rank 2 doesn't wait until rank 0
/// has stepped stage 0: the reduction of stage 1 stands before that step.
TEST(pipeline_starts, reductions_of_unlike_ranks_stand_before_the_steps_of_other_stages) {
  pipeline_job job{.pipelines = 2,
                   .stages = 2,
                   .microbatches = 1,
                   .costs = {1, 1, 0, 4},
                   .layout = stage_layout::custom({0, 0, 1, 2})};
  auto const f = [](int p, int s) { return operation{op_kind::forward, p, s, 0}; };
  auto const b = [](int p, int s) { return operation{op_kind::backward, p, s, 0}; };
  auto const step = [](int s) { return operation{.kind = op_kind::step, .stage = s}; };
  pipeline_schedule plan{.order = {{f(0, 0), f(0, 1), b(0, 1), b(0, 0), step(0), step(1)},
                                   {f(1, 0), b(1, 0), step(0)},
                                   {f(1, 1), b(1, 1), step(1)}},
                         .staggered_step = true};
  auto const found = detail::starts_of(job, plan);
  ASSERT_EQ(found.reductions.size(), 3U);
  EXPECT_EQ(found.finished, (std::vector<std::int32_t>{1, 0}));
  EXPECT_EQ(found.reductions[0], (std::vector<detail::reduction_place>{{4, 1}, {4, 0}}));
  EXPECT_EQ(found.reductions[1], (std::vector<detail::reduction_place>{{2, 0}}));
  EXPECT_EQ(found.reductions[2], (std::vector<detail::reduction_place>{{2, 1}}));
  job.layout = stage_layout::custom({0, 0, 1, 1});  // the same ranks step both stages
  plan.order = {plan.order[rank_id{0}], {f(1, 0), f(1, 1), b(1, 1), b(1, 0), step(0), step(1)}};
  EXPECT_TRUE(detail::starts_of(job, plan).reductions.empty());
}

TEST(pipeline_starts, ranks_that_wait_for_each_other_are_refused) {
  pipeline_job const job{.stages = 2, .microbatches = 1};
  pipeline_schedule const plan{
      .order = {{{op_kind::backward, 0, 0, 0}, {op_kind::forward, 0, 0, 0}},
                {{op_kind::forward, 0, 1, 0}, {op_kind::backward, 0, 1, 0}}}};
  EXPECT_THROW((void)detail::starts_of(job, plan), invalid_program);
}

}  // namespace
}  // namespace shunt::tests::pipeline_starts_test
