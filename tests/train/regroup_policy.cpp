#include "shunt/train/regroup_policy.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <vector>

#include "shunt/problem/stage_layout.hpp"
#include "support/refusals.hpp"

namespace shunt::tests::regroup_policy_test {
namespace {

solution<arrangement> next_of(pipeline_job const& job, std::vector<rank_id> const& dead) {
  auto const start = starting_arrangement(job);
  return regroup_rule{}({job, start, dead});
}

TEST(regroup_policy, as_many_pipelines_as_the_live_ranks_fill) {
  pipeline_job const job{.pipelines = 3, .stages = 3, .microbatches = 4};
  EXPECT_EQ(workers_of(next_of(job, {4}).plan), (worker_ranks{{0, 1, 2}, {6, 7, 8}}));
  EXPECT_EQ(workers_of(next_of(job, {2, 4}).plan), (worker_ranks{{0, 1, 5}, {6, 7, 8}}));
  // The first pipeline gives its live ranks to the others.
  EXPECT_EQ(workers_of(next_of(job, {1, 2, 4}).plan), (worker_ranks{{3, 0, 5}, {6, 7, 8}}));
  EXPECT_EQ(next_of(job, {1, 2, 4}).plan.job.microbatches.values(),
            (std::vector<std::int32_t>{6, 6}));
  EXPECT_EQ(workers_of(next_of(job, {0, 1, 3, 4, 6, 7}).plan), (worker_ranks{{5, 8, 2}}));
  EXPECT_EQ(next_of(job, {0, 1, 2, 3, 4, 5, 6}).reason.view(),
            "2 live ranks don't fill a pipeline of 3");
}

TEST(regroup_policy, a_rank_takes_all_stages_of_the_one_that_it_replaces) {
  pipeline_job const job{.pipelines = 2,
                         .stages = 3,
                         .microbatches = 2,
                         .layout = stage_layout::custom({0, 0, 1, 2, 3, 3})};
  EXPECT_EQ(workers_of(next_of(job, {0, 2}).plan), (worker_ranks{{3, 3, 1}}));
}

TEST(regroup_policy, refuses_pipelines_of_different_lengths) {
  pipeline_job const job{.pipelines = 2,
                         .stages = 3,
                         .microbatches = 2,
                         .layout = stage_layout::custom({0, 0, 1, 2, 3, 4})};
  EXPECT_EQ(field_of([&] { (void)next_of(job, {0}); }), "layout");
}

}  // namespace
}  // namespace shunt::tests::regroup_policy_test
