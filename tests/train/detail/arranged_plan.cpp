#include "shunt/train/detail/arranged_plan.hpp"

#include <gtest/gtest.h>

#include <vector>

#include "shunt/check/pipeline.hpp"
#include "shunt/train/best_policy.hpp"
#include "shunt/train/oobleck_policy.hpp"
#include "support/pipeline_jobs.hpp"
#include "support/random_cases.hpp"
#include "support/refusals.hpp"
#include "support/text.hpp"

namespace shunt::tests::arranged_plan_test {
namespace {

template <class Policy>
planned_iteration plan_of(Policy const& policy, arrangement const& a, slow_verdicts const& paces) {
  return detail::arranged_plan(policy, a, paces, {}, rollback::kept_state);
}

// 27 ticks are the bound of 3 x 4 with one worker at half speed, 39 what all take that wait for it.
TEST(slow_arranged_plan, a_slow_rank_gets_fewer_micro_batches_where_the_policy_re_routes) {
  auto const job = stepping_job_of(3, 4, 6);
  auto const start = starting_arrangement(job);
  slow_verdicts paces(12);
  EXPECT_EQ(plan_of(best_policy<>{}, start, {}).period, 22);
  EXPECT_EQ(plan_of(best_policy<>{}, start, paces).parts, 1);
  paces[6].sixteenths = 32;
  auto const best = plan_of(best_policy<>{}, start, paces);
  EXPECT_EQ(best.period, 27);
  EXPECT_EQ(best.parts, 16);
  EXPECT_EQ(lines(check(best.job, best.schedule)), "");
  EXPECT_GE(plan_of(oobleck_policy<>{}, start, paces).period, 39);  // 1F1B has no other order
}

// After a loss: the schedule for the new costs is never slower than the one that was there.
TEST(slow_arranged_plan, is_no_slower_than_the_arrangements_own_schedule) {
  random_cases d(61);
  best_rule const rule{.planner = {.effort = 30'000}};
  int better = 0;
  for (int round = 0; round < 20; ++round) {
    SCOPED_TRACE(round);
    auto const job = stepping_job_of(d.roll(2, 3), d.roll(2, 4), d.roll(2, 4));
    auto const start = starting_arrangement(job);
    std::vector<rank_id> const dead{d.roll(0, job.ranks() - 1)};
    auto const next = rule({job, start, dead});
    ASSERT_TRUE(next.has_plan());
    slow_verdicts paces(static_cast<std::size_t>(job.ranks()));
    auto const slow = next.plan.members[static_cast<std::size_t>(
        d.roll(0, static_cast<std::int32_t>(next.plan.members.size()) - 1))];
    paces[slow].sixteenths = d.roll(20, 48);
    auto const plan = plan_of(best_policy<>{}, next.plan, paces);
    EXPECT_EQ(lines(check(plan.job, plan.schedule)), "");
    auto const own = period(plan.job, next.plan.schedule);
    EXPECT_LE(period(plan.job, plan.schedule), own);
    better += period(plan.job, plan.schedule) < own;
  }
  EXPECT_GT(better, 5);
}

}  // namespace
}  // namespace shunt::tests::arranged_plan_test
