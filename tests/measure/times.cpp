#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "shunt/measure/pipeline.hpp"
#include "shunt/measure/pipeline_bounds.hpp"
#include "shunt/measure/times.hpp"
#include "shunt/solve/pipeline/one_f_one_b.hpp"
#include "shunt/solve/pipeline/reroute.hpp"
#include "shunt/solve/pipeline/split_backward.hpp"
#include "shunt/solve/pipeline/stagger_step.hpp"
#include "support/random_cases.hpp"
#include "support/slow_clock.hpp"

namespace shunt::tests::times_test {
namespace {

TEST(times, agree_with_a_slow_clock_on_any_layout_exhaustive) {
  random_cases d(11);
  int pairs = 0, chunks = 0, cycles = 0;
  for (int round = 0; round < 300; ++round) {
    SCOPED_TRACE(round);
    auto const job = random_job_of_any_layout(d);
    if (stage_without_worker(job)) continue;
    auto const plan = random_order(job, d);
    slow_clock const clock(job, plan, 1);
    EXPECT_EQ(clock.stuck, !graph_of(job, plan).executable());
    if (clock
            .stuck) {  // a pair that waits for itself, or a step before what another rank waits for
      ++cycles;
      continue;
    }
    auto const table = times(job, plan);
    ticks last = 0;
    for (rank_id r : ids<rank_id>(job.ranks()))
      for (std::size_t i = 0; i < plan.order[r].size(); ++i) {
        EXPECT_EQ(table.times[r][i], (interval{clock.start[0][r][i], clock.end[0][r][i]}))
            << "rank " << r.value() << " operation " << i;
        if (plan.order[r][i].kind != op_kind::step) last = std::max(last, clock.end[0][r][i]);
      }
    EXPECT_EQ(makespan(job, plan), last);
    EXPECT_GE(last, makespan_bound(job));
    EXPECT_GE(period(job, plan), period_bound(job, plan.staggered_step));
    chunks += job.ranks() < job.workers();
    for (auto const& list : plan.overlapped) pairs += !list.empty();
  }
  EXPECT_GT(pairs, 20);
  EXPECT_GT(chunks, 50);
  EXPECT_GT(cycles, 0);
}

// The longest paths between the groups, one start at a time, and the least distance of iterations
// by its definition: no circle of groups needs more.
TEST(times, the_steady_state_has_the_least_period_and_the_earliest_starts) {
  random_cases d(29);
  int drifted = 0, between = 0;
  for (int round = 0; round < 1600; ++round) {
    SCOPED_TRACE(round);
    auto job = random_job_of_any_layout(d);
    if (round % 2 == 1) {  // circles of stages
      job = {.pipelines = 3, .stages = 2, .microbatches = 2};
      job.costs = {d.costs(2, 1, 20), d.costs(2, 1, 20), d.costs(2, 0, 20), d.costs(2, 0, 20)};
    }
    if (stage_without_worker(job)) continue;
    auto plan = random_order(job, d);
    plan.staggered_step = true;
    if (!graph_of(job, plan).executable()) continue;
    stage_groups const in(job);
    auto const groups = in.all.size();
    auto const ends_from = [&](stage_group_starts const& start) {
      std::vector<ticks> ends(groups, -1);
      auto const table = times(job, plan, start);
      for (rank_id r : ids<rank_id>(job.ranks()))
        for (auto const& when : table.times[r]) {
          auto& end = ends[static_cast<std::size_t>(in.of[r])];
          end = std::max(end, when.end);
        }
      return ends;
    };
    constexpr ticks late = 1'000'000, no_path = -1;
    std::vector<std::vector<ticks>> path;
    for (std::size_t c = 0; c < groups; ++c) {
      stage_group_starts start(groups, 0);
      start[c] = late;
      path.push_back(ends_from(start));
      for (ticks& end : path.back()) end = end >= late ? end - late : no_path;
    }
    // earliest starts under a distance, or nothing where a circle needs more
    auto const earliest = [&](ticks distance) {
      stage_group_starts start(groups, 0);
      for (std::size_t step = 0; step <= groups; ++step) {
        auto const before = start;
        for (std::size_t c = 0; c < groups; ++c)
          for (std::size_t to = 0; to < groups; ++to)
            if (path[c][to] != no_path)
              start[to] = std::max(start[to], before[c] + path[c][to] - distance);
        if (start == before) return start;
      }
      return stage_group_starts();
    };
    ticks least = 0;
    while (earliest(least).empty()) ++least;
    auto const start = steady_start(job, plan);
    EXPECT_EQ(start, earliest(least));
    EXPECT_EQ(steady_times(job, plan), times(job, plan, start));
    EXPECT_LE(period(job, plan), least);
    drifted += start != stage_group_starts(groups, 0);
    ticks longest = 0;
    for (std::size_t c = 0; c < groups; ++c) longest = std::max(longest, path[c][c]);
    between += least > longest;
  }
  EXPECT_GT(drifted, 50);
  EXPECT_GT(between, 0);
}

// One pass over the operations for all groups together: the passes do not grow with the groups.
TEST(times, a_steady_state_takes_a_few_passes_over_the_operations) {
  for (std::int32_t const stages : {4, 16, 48}) {
    pipeline_job const job{.pipelines = 2,
                           .stages = stages,
                           .microbatches = 8,
                           .costs = {.step = 3},
                           .dead = {{1, stages / 2}}};
    auto const answer = solve(job, one_f_one_b{} | reroute{} | split_backward{} | stagger_step{});
    ASSERT_TRUE(answer.has_plan());
    auto const graph = graph_of(job, answer.plan);
    detail::steady_state const found(job, answer.plan, stage_groups(job), graph);
    EXPECT_LE(found.passes, 6) << stages;
  }
}

}  // namespace
}  // namespace shunt::tests::times_test
