#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>

#include "shunt/check/pipeline.hpp"
#include "shunt/measure/pipeline.hpp"
#include "shunt/measure/times.hpp"
#include "shunt/solve/pipeline/search/forward_backward.hpp"
#include "shunt/solve/pipeline/search/list_schedule.hpp"
#include "shunt/solve/pipeline/slipstream.hpp"
#include "support/pipeline_jobs.hpp"
#include "support/random_cases.hpp"
#include "support/text.hpp"

namespace shunt::tests::forward_backward_test {
namespace {

using namespace detail;

// All ranks of the column with both stages are dead; other columns do its work.
TEST(forward_backward, a_column_without_a_live_rank_has_no_span) {
  pipeline_job job{.pipelines = 3,
                   .stages = 2,
                   .microbatches = 3,
                   .costs = {.forward = {2, 1}, .backward_input = {1, 3}, .step = {1, 2}},
                   .dead = {{0, 0}, {2, 0}},
                   .layout = stage_layout::custom({0, 1, 2, 1, 3, 3})};
  list_scheduler scheduler(job, true);
  scheduler.run(stage_policies(2));
  ASSERT_TRUE(scheduler.complete());
  forward_backward improved(job, scheduler.schedule(true));
  stage_groups const in(job);
  improved.backwards(stage_group_starts(in.all.size(), 100), false);
  int empty = 0;
  for (std::size_t c = 0; c < in.all.size(); ++c) {
    EXPECT_EQ(scheduler.spans()[c] == interval{}, in.all[c].live.empty());
    EXPECT_EQ(improved.spans()[c] == interval{}, in.all[c].live.empty());
    empty += in.all[c].live.empty();
  }
  EXPECT_EQ(empty, 1);
  auto const answer = solve(job, slipstream{.effort = 20'000});
  ASSERT_TRUE(answer.has_plan()) << answer.reason;
  EXPECT_EQ(lines(check(job, answer.plan)), "");
  EXPECT_LE(answer.objective, solve(job, slipstream{.stagger = false, .effort = 20'000}).objective);
}

TEST(forward_backward, justified_schedules_are_plans_and_keep_their_limits) {
  random_cases d(16);
  for (int round = 0; round < 100; ++round) {
    auto job = random_job_with_failures(d, round % 2 == 1);
    job.memory = stash_cap::none();
    SCOPED_TRACE(describe_job(job));
    list_scheduler scheduler(job, round % 3 > 0);
    scheduler.run(stage_policies(static_cast<std::size_t>(job.stages)));
    auto const first = scheduler.makespan();
    auto const all = scheduler.stage_groups().all.size();
    forward_backward passes(job, scheduler.schedule(true));
    for (bool const patient : {false, true}) {
      passes.backwards(stage_group_starts(all, first), patient);
      EXPECT_EQ(lines(check(job, passes.schedule(true))), "");
      ticks earliest = first;
      for (auto const& span : passes.spans()) {
        EXPECT_LE(span.end, first);
        earliest = std::min(earliest, span.start);
      }
      EXPECT_LE(makespan(job, passes.schedule(true)), first - earliest);
      passes.forwards(stage_group_starts(all, 0), patient);
      EXPECT_EQ(lines(check(job, passes.schedule(true))), "");
      ticks last = 0;
      for (auto const& span : passes.spans()) last = std::max(last, span.end);
      EXPECT_LE(makespan(job, passes.schedule(true)), last);
      if (!patient) {
        EXPECT_EQ(makespan(job, passes.schedule(true)), last);
      }
    }
  }
}

}  // namespace
}  // namespace shunt::tests::forward_backward_test
