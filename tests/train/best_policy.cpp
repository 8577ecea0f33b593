#include "shunt/train/best_policy.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <iterator>
#include <vector>

#include "shunt/check/pipeline.hpp"
#include "shunt/measure/pipeline.hpp"
#include "support/pipeline_jobs.hpp"
#include "support/random_cases.hpp"
#include "support/refusals.hpp"
#include "support/text.hpp"

namespace shunt::tests::best_policy_test {
namespace {

TEST(best_policy, arrangements_have_the_schedule_of_the_plan) {
  auto const job = stepping_job_of(3, 4, 6);
  auto const start = starting_arrangement(job);
  EXPECT_TRUE(start.schedule.order.empty());
  std::vector<rank_id> const dead{6};
  auto const next = best_policy<>{}({job, start, dead});
  ASSERT_TRUE(next.has_plan()) << next.reason.view();
  validate(next.plan, job, dead);
  EXPECT_EQ(lines(check(next.plan.job, next.plan.schedule)), "");
  EXPECT_EQ(static_cast<double>(period(next.plan.job, next.plan.schedule)), next.objective);
  EXPECT_LE(next.objective, 24);  // re-routing alone takes 30
}

// Loss after loss, until a stage's state is gone. What waits may come back as a spare.
TEST(best_policy, goes_on_through_random_losses) {
  random_cases d(53);
  int plans = 0, ends = 0;
  for (int round = 0; round < 40; ++round) {
    SCOPED_TRACE(round);
    auto const pipelines = d.roll(2, 4), stages = d.roll(2, 5);
    auto job = stepping_job_of(pipelines, stages, d.roll(1, 4));
    job.costs.forward = d.costs(job.stages, 1, 4);
    auto now = starting_arrangement(job);
    std::vector<rank_id> dead;
    best_rule const rule{.planner = {.effort = 50'000}};
    for (int n = d.roll(1, 6); n > 0 && std::ssize(dead) + 1 < job.ranks(); --n) {
      rank_id const lost = d.roll(0, job.ranks() - 1);
      if (std::binary_search(dead.begin(), dead.end(), lost)) continue;
      dead.insert(std::lower_bound(dead.begin(), dead.end(), lost), lost);
      auto next = rule({job, now, dead});
      if (!next.has_plan()) {
        EXPECT_NE(next.reason.view().find("its state is lost"), std::string_view::npos);
        EXPECT_TRUE(stage_without_holder(stages_held(now, job.ranks(), dead), job.stages));
        ++ends;
        break;
      }
      validate(next.plan, job, dead);
      EXPECT_EQ(lines(check(next.plan.job, next.plan.schedule)), "");
      now = std::move(next.plan);
      ++plans;
    }
  }
  EXPECT_GT(plans, 60);
  EXPECT_GT(ends, 0);
}

TEST(best_policy, refuses_fields_that_can_not_be) {
  auto const job = stepping_job_of(2, 2, 1);
  auto const start = starting_arrangement(job);
  std::vector<rank_id> const dead{0};
  EXPECT_EQ(field_of([&] { (void)best_rule{.state = {1, 2, 3}}({job, start, dead}); }), "state");
  EXPECT_EQ(field_of([&] { (void)best_rule{.until_next = -1}({job, start, dead}); }), "until_next");
  EXPECT_EQ(best_rule{.state_limit = 1}({job, start, std::vector<rank_id>{0, 2}}).reason.view(),
            "stage 0 has no live worker: its state is lost");
}

TEST(best_policy, says_that_no_rank_is_left) {
  auto const job = stepping_job_of(2, 2, 1);
  std::vector<rank_id> dead{0, 1, 2, 3};
  auto const reason = [&](arrangement const& now) {
    return std::string(best_rule{}({job, now, dead}).reason.view());
  };
  EXPECT_EQ(reason(starting_arrangement(job)), "no rank is left: rank 3 and all others are dead");
  auto alone = starting_arrangement({.stages = 2, .microbatches = 2});
  alone.job.layout = stage_layout::custom({0, 0});
  alone.members = {2};
  EXPECT_EQ(reason(alone), "no rank is left: rank 2 was the last");
}

}  // namespace
}  // namespace shunt::tests::best_policy_test
