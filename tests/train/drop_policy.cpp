#include "shunt/train/drop_policy.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <vector>

namespace shunt::tests::drop_policy_test {
namespace {

TEST(drop_policy, whole_pipelines_share_the_batch) {
  pipeline_job const job{.pipelines = 3, .stages = 2, .microbatches = 5};
  auto const start = starting_arrangement(job);
  std::vector<rank_id> dead{3};
  auto const next = drop_rule{}({job, start, dead});
  ASSERT_TRUE(next.has_plan());
  EXPECT_EQ(workers_of(next.plan), (worker_ranks{{0, 1}, {4, 5}}));
  EXPECT_EQ(next.plan.job.microbatches.values(), (std::vector<std::int32_t>{8, 7}));
  dead = {0, 3};
  auto const last = drop_rule{}({job, next.plan, dead});
  EXPECT_EQ(workers_of(last.plan), (worker_ranks{{4, 5}}));
  EXPECT_EQ(last.plan.job.total_microbatches(), 15);
  dead = {0, 3, 5};
  EXPECT_EQ(drop_rule{}({job, last.plan, dead}).reason.view(), "every pipeline has lost a rank");
}

}  // namespace
}  // namespace shunt::tests::drop_policy_test
