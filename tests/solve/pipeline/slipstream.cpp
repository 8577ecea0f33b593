#include <gtest/gtest.h>

#include <cstdint>
#include <map>

#include "shunt/check/pipeline.hpp"
#include "shunt/measure/pipeline.hpp"
#include "shunt/measure/pipeline_bounds.hpp"
#include "shunt/solve/pipeline/normalize_failures.hpp"
#include "shunt/solve/pipeline/reroute.hpp"
#include "shunt/solve/pipeline/slipstream.hpp"
#include "support/pipeline_jobs.hpp"
#include "support/random_cases.hpp"
#include "support/text.hpp"

namespace shunt::tests::slipstream_test {
namespace {

TEST(slipstream, plans_any_job_with_a_live_rank_at_each_stage) {
  random_cases d(11);
  std::map<stage_layout::shape, int> optimal;
  for (int round = 0; round < 80; ++round) {
    auto const job = random_job_with_failures(d, round % 2 == 1);
    SCOPED_TRACE(describe_job(job));
    for (bool const stagger : {false, true}) {
      slipstream const solver{.stagger = stagger,
                              .rule = round % 3 == 0 ? routing::round_robin : routing::by_load,
                              .effort = 30'000};
      auto const answer = solve(job, solver);
      ASSERT_TRUE(answer.has_plan()) << answer.reason;
      EXPECT_EQ(answer, solve(job, solver));
      EXPECT_EQ(lines(check(job, answer.plan)), "");
      EXPECT_EQ(answer.objective, static_cast<double>(period(job, answer.plan)));
      EXPECT_EQ(answer.lower_bound, static_cast<double>(period_bound(job, stagger)));
      EXPECT_GE(answer.objective, answer.lower_bound);
      EXPECT_EQ(answer.status == status::optimal, answer.objective == answer.lower_bound);
      auto const peak = stash_peak(job, answer.plan);
      for (rank_id r : ids<rank_id>(job.ranks()))
        EXPECT_LE(peak[r], job.stash_limit(r).value_or(peak[r]));
      optimal[job.layout.form()] += answer.status == status::optimal;
    }
  }
  EXPECT_GT(optimal[stage_layout::shape::linear], 20);
  EXPECT_GT(optimal.size(), 3u);
}

// Whatever the effort, one order is tried.
TEST(slipstream, four_times_the_effort_is_never_worse) {
  random_cases d(5);
  int better = 0;
  for (int round = 0; round < 60; ++round) {
    auto const job = random_job_with_failures(d, true);
    if (stage_without_worker(job)) continue;
    SCOPED_TRACE(describe_job(job));
    for (std::int64_t const start : {1, 700}) {
      auto last = slipstream{.effort = start}(job);
      for (std::int64_t effort = 4 * start; effort <= 60'000; effort *= 4) {
        auto const answer = slipstream{.effort = effort}(job);
        ASSERT_LE(answer.objective, last.objective) << effort;
        better += answer.objective < last.objective;
        last = answer;
      }
    }
  }
  EXPECT_GT(better, 20);
}

TEST(slipstream, without_effort_has_a_plan) {
  random_cases d(21);
  for (int round = 0; round < 30; ++round) {
    auto job = random_job_with_failures(d, true);
    job.memory = stash_cap::none();
    SCOPED_TRACE(describe_job(job));
    for (std::int64_t const effort : {-1, 0, 1}) {
      auto const answer = solve(job, slipstream{.effort = effort});
      ASSERT_TRUE(answer.has_plan()) << answer.reason;
      EXPECT_EQ(lines(check(job, answer.plan)), "");
    }
  }
}

TEST(slipstream, what_has_no_plan_is_named) {
  pipeline_job job{.pipelines = 2, .stages = 3, .microbatches = 4, .dead = {{0, 1}, {1, 1}}};
  auto answer = solve(job, slipstream{});
  EXPECT_EQ(answer.status, status::infeasible);
  EXPECT_EQ(answer.reason, "stage 1 has no live worker");
  EXPECT_EQ(solve(job, normalize_failures{}).reason, "stage 1 has no live worker");
  job.dead = {{0, 1}};
  answer = solve(job, slipstream{.reroute = false});
  EXPECT_EQ(answer.status, status::infeasible);
  EXPECT_EQ(answer.reason, "worker 0:1 is dead and its micro-batches are not re-routed");
  job.memory = stash_cap::per_rank({5, 5, 5, 5, 1, 5});
  job.stash.forward = 2;
  answer = solve(job, slipstream{});
  EXPECT_EQ(answer.status, status::infeasible);
  EXPECT_EQ(answer.reason,
            "stage 1 stashes 2 a micro-batch, more than the cap of its live workers");
  job.dead = {};  // the one that has room takes all
  answer = solve(job, slipstream{.effort = 50'000});
  ASSERT_TRUE(answer.has_plan()) << answer.reason;
  EXPECT_EQ(lines(check(job, answer.plan)), "");
  EXPECT_EQ(answer.plan.order[job.rank_of({1, 1})].size(), 1u);  // its step
  pipeline_job folded{.stages = 4,
                      .microbatches = 2,
                      .memory = stash_cap::per_worker(1),
                      .layout = stage_layout::wave(2)};
  answer = solve(folded, slipstream{});
  EXPECT_EQ(answer.status, status::limit_reached);
  EXPECT_EQ(answer.reason, "no order found under the stash cap");
}

}  // namespace
}  // namespace shunt::tests::slipstream_test
