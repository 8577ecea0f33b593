#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <utility>
#include <vector>

#include "shunt/check/pipeline.hpp"
#include "shunt/check/pipeline_times.hpp"
#include "shunt/check/program.hpp"
#include "shunt/measure/pipeline.hpp"
#include "shunt/measure/times.hpp"
#include "shunt/solve/author/pipeline.hpp"
#include "shunt/solve/pipeline/gpipe.hpp"
#include "shunt/solve/pipeline/one_f_one_b.hpp"
#include "shunt/solve/pipeline/reroute.hpp"
#include "shunt/solve/pipeline/slipstream.hpp"
#include "shunt/solve/pipeline/stagger_step.hpp"
#include "shunt/solve/pipeline/zb_h1.hpp"
#include "support/pipeline_jobs.hpp"
#include "support/random_cases.hpp"
#include "support/slow_clock.hpp"
#include "support/text.hpp"

namespace shunt::tests::pipeline_test {
namespace {

TEST(pipeline, bubbles_of_known_schedules) {
  // F, I, W of the whole stage, S = 4: GPipe and 1F1B (S-1)(F+I+W), ZB-H1 (S-1)(F+I-W) beside the
  // work M (F+I+W)
  for (ticks const weight : {1, 2}) {
    pipeline_job const job{.stages = 4,
                           .microbatches = 8,
                           .costs = {.forward = 2, .backward_input = 2, .backward_weight = weight}};
    ticks const work = 8 * (4 + weight);
    EXPECT_EQ(makespan(job, gpipe{}(job).plan), work + 3 * (4 + weight));
    EXPECT_EQ(makespan(job, one_f_one_b{}(job).plan), work + 3 * (4 + weight));
    EXPECT_EQ(makespan(job, zb_h1{}(job).plan), work + 3 * (4 - weight));
  }
  pipeline_job const job{.stages = 4, .microbatches = 8};
  EXPECT_EQ(stash_peak(job, gpipe{}(job).plan)[0], 8);
  EXPECT_EQ(stash_peak(job, one_f_one_b{}(job).plan), (indexed<rank_id, std::int64_t>{4, 3, 2, 1}));
  EXPECT_EQ(stash_peak(job, zb_h1{}(job).plan), (indexed<rank_id, std::int64_t>{4, 4, 4, 4}));
}

// Many iterations one after another, each stage starting when it has stepped: what `period`
// promises is what comes out.
TEST(pipeline, the_period_is_the_distance_of_iterations_in_a_long_run) {
  random_cases d(3);
  int drifted = 0;
  for (int round = 0; round < 60; ++round) {
    auto job = random_linear_job(d, 3, 4, 6);
    std::vector<ticks>
        steps;  // long ones too, so that a cycle over several stages may be what takes longest
    for (std::int32_t s = 0; s < job.stages; ++s)
      steps.push_back(d.roll(0, 2) == 0 ? d.roll(0, 60) : 0);
    job.costs.step = per_stage(std::move(steps));
    SCOPED_TRACE(describe_job(job));
    auto const staggered = [&](auto const& solver) {
      return solve(job, solver | reroute{} | stagger_step{});
    };
    for (auto const& answer : {solve(job, slipstream{.effort = 50'000}), staggered(one_f_one_b{}),
                               staggered(gpipe{}), staggered(zb_h1{})}) {
      if (!answer.has_plan()) continue;
      constexpr int iterations = 240,
                    lap = 60;  // lap: a multiple of every possible cycle of stages
      stage_group_starts start(static_cast<std::size_t>(job.stages), 0);
      std::vector<stage_group_starts> history;
      for (int i = 0; i < iterations; ++i) {
        history.push_back(start);
        auto const table = times(job, answer.plan, start);
        for (rank_id r : ids<rank_id>(job.ranks()))
          if (job.alive(job.worker_of(r)))
            start[job.worker_of(r).stage.index()] = table.times[r].back().end;
      }
      drifted += history.back() != stage_group_starts(start.size(), history.back()[0]);
      ticks const distance = history[iterations - 1][0] - history[iterations - 1 - lap][0];
      ticks const promised = period(job, answer.plan);
      EXPECT_LE(distance, promised * lap);
      EXPECT_GT(distance, (promised - 1) * lap);
    }
  }
  EXPECT_GT(drifted, 50);
}

// Pipelines that keep different orders can hold each other up in a circle of stages: then no single
// stage's span gives the period.
TEST(pipeline, the_period_holds_where_stages_wait_in_circles) {
  random_cases d(5);
  int circles = 0;
  for (int round = 0; round < 700; ++round) {
    pipeline_job job{.pipelines = d.roll(2, 3), .stages = 2, .microbatches = d.roll(2, 5)};
    auto const costs = [&](std::int32_t low) {
      return per_stage{d.roll(low, 20), d.roll(low, 20)};
    };
    job.costs = {costs(1), costs(1), costs(0), costs(0)};
    auto plan = empty_schedule(job);
    plan.staggered_step = true;
    for (pipeline_id p : ids<pipeline_id>(job.pipelines)) {
      auto source = d.roll(0, 1) == 0 ? one_f_one_b{}(job).plan : zb_h1{}(job).plan;
      bool const weights_last = d.roll(0, 1) == 0;
      for (stage_id s : ids<stage_id>(job.stages)) {
        auto const& list = source.order[job.rank_of({p, s})];
        auto const late = [&](operation const& o) {
          return weights_last && o.kind == op_kind::backward_weight;
        };
        auto& order = plan.order[job.rank_of({p, s})];
        std::copy_if(list.begin(), list.end() - 1, std::back_inserter(order),
                     [&](operation const& o) { return !late(o); });
        std::copy_if(list.begin(), list.end(), std::back_inserter(order),
                     [&](operation const& o) { return late(o) || o.kind == op_kind::step; });
      }
    }
    ASSERT_EQ(lines(check(job, plan)), "");
    constexpr int iterations = 60, lap = 2;
    std::vector<stage_group_starts> history{stage_group_starts(2, 0)};
    for (int i = 0; i < iterations; ++i) {
      auto const table = times(job, plan, history.back());
      history.push_back({table.times[job.rank_of({0, 0})].back().end,
                         table.times[job.rank_of({0, 1})].back().end});
    }
    auto const distance = [&](stage_id s) {
      return history[iterations][s.index()] - history[iterations - lap][s.index()];
    };
    ticks const promised = period(job, plan);
    EXPECT_LE(distance(0), promised * lap);
    EXPECT_GT(distance(0), (promised - 1) * lap);
    circles += distance(0) % lap != 0;  // only a circle of two stages takes half a tick
  }
  EXPECT_GT(circles, 0);
}

bool steps_last(pipeline_schedule const& plan) {
  return std::all_of(plan.order.begin(), plan.order.end(), [](auto const& list) {
    return std::is_partitioned(list.begin(), list.end(),
                               [](operation const& o) { return o.kind != op_kind::step; });
  });
}

// The period of a run in which every rank goes on when its own list ends is never longer than what
// `period` promises, and where steps stand last, so that the ranks of a column end together, it is
// just that.
TEST(pipeline, the_period_is_what_a_long_run_settles_at) {
  random_cases d(12);
  int exact = 0, all = 0;
  for (int round = 0; round < 120; ++round) {
    SCOPED_TRACE(round);
    auto const job = random_job_of_any_layout(d);
    if (stage_without_worker(job)) continue;
    auto const plan = random_order(job, d);
    if (!graph_of(job, plan).executable()) continue;
    constexpr int iterations = 30, lap = 12;
    slow_clock const clock(job, plan, iterations);
    ASSERT_FALSE(clock.stuck);
    ticks longest = 0;
    for (rank_id r : ids<rank_id>(job.ranks()))
      if (!plan.order[r].empty())
        longest = std::max(longest, clock.end[iterations - 1][r].back() -
                                        clock.end[iterations - 1 - lap][r].back());
    ticks const promised = period(job, plan);
    EXPECT_LE(longest, promised * lap);
    ++all;
    if (!plan.staggered_step || !steps_last(plan)) continue;
    EXPECT_GT(longest, (promised - 1) * lap);
    ++exact;
  }
  EXPECT_GT(all, 70);
  EXPECT_GT(exact, 15);
}

}  // namespace
}  // namespace shunt::tests::pipeline_test
