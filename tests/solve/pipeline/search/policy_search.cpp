#include <gtest/gtest.h>

#include "shunt/check/pipeline.hpp"
#include "shunt/measure/pipeline.hpp"
#include "shunt/measure/pipeline_bounds.hpp"
#include "shunt/solve/pipeline/search/policy_search.hpp"
#include "support/pipeline_jobs.hpp"
#include "support/text.hpp"

namespace shunt::tests::policy_search_test {
namespace {

using namespace detail;

TEST(policy_search, comes_to_a_plan_at_or_above_the_bound) {
  auto const job = paper_job_after_a_failure();
  auto const bound = period_bound(job, true);
  policy_search search(job, true, true, bound, 200'000, routing::by_load);
  search.search();
  auto const plan = search.schedule();
  EXPECT_EQ(lines(check(job, plan)), "");
  EXPECT_LE(period(job, plan), search.best());
  EXPECT_GE(period(job, plan), bound);
  EXPECT_EQ(search.best(), 30);  // the paper's figure, proved least by the bound
}

TEST(policy_search, a_cap_that_no_order_keeps_leaves_nothing) {
  pipeline_job const job{.stages = 4,
                         .microbatches = 2,
                         .memory = stash_cap::per_worker(1),
                         .layout = stage_layout::wave(2)};
  policy_search search(job, true, false, 0, 10'000, routing::by_load);
  search.search();
  EXPECT_EQ(search.best(), policy_search::nothing);
}

}  // namespace
}  // namespace shunt::tests::policy_search_test
