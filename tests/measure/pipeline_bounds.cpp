#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <numeric>
#include <set>
#include <utility>
#include <vector>

#include "shunt/measure/pipeline.hpp"
#include "shunt/measure/pipeline_bounds.hpp"
#include "shunt/measure/stage_groups.hpp"
#include "shunt/solve/pipeline/branch_and_bound.hpp"
#include "shunt/solve/pipeline/reroute.hpp"
#include "shunt/solve/pipeline/slipstream.hpp"
#include "support/pipeline_jobs.hpp"
#include "support/random_cases.hpp"

namespace shunt::tests::pipeline_bounds_test {
namespace {

TEST(pipeline_bounds, bounds_do_not_depend_on_names_and_never_fall_with_another_failure) {
  random_cases d(13);
  for (int round = 0; round < 100; ++round) {
    auto job = random_job_with_failures(d, false);
    job.transfer = d.roll(0, 3);
    job.memory = d.roll(0, 1) == 0 ? stash_cap::none() : stash_cap::per_worker(d.roll(4, 9));
    SCOPED_TRACE(describe_job(job));
    std::vector<std::int32_t> name(static_cast<std::size_t>(job.pipelines));
    std::iota(name.begin(), name.end(), 0);
    for (std::size_t i = name.size(); i-- > 1;)
      std::swap(name[i], name[static_cast<std::size_t>(d.roll(0, static_cast<std::int32_t>(i)))]);
    auto renamed = job;
    for (worker& w : renamed.dead) w.pipeline = name[w.pipeline.index()];
    std::vector<std::int32_t> counts(name.size());
    for (std::size_t p = 0; p < name.size(); ++p)
      counts[static_cast<std::size_t>(name[p])] = job.microbatches[static_cast<std::int32_t>(p)];
    renamed.microbatches = per_pipeline(std::move(counts));
    for (bool const stagger : {false, true}) {
      EXPECT_EQ(period_bound(job, stagger), period_bound(renamed, stagger));
      slipstream const solver{.stagger = stagger, .effort = 3'000};
      EXPECT_EQ(solve(job, solver).lower_bound, solve(renamed, solver).lower_bound);
      auto worse = job;
      kill_some(d, worse, 4);
      std::set<worker> const dead(worse.dead.begin(), worse.dead.end());
      worse.dead.assign(dead.begin(), dead.end());
      EXPECT_FALSE(stage_without_worker(worse));
      EXPECT_GE(period_bound(worse, stagger), period_bound(job, stagger));
    }
  }
}

// The optimum that an exact search proves, where few ranks serve many: this is where the bound
// counts who comes when.
TEST(pipeline_bounds, the_least_transfer_is_the_least_over_all_pairs_of_live_ranks) {
  random_cases d(22);
  int between_is_cheaper = 0;
  for (int round = 0; round < 400; ++round) {
    auto job = random_job_with_failures(d, round % 4 > 0);
    job.transfer = transfer_times{d.roll(0, 4), d.roll(0, 4), d.roll(1, 5)};
    SCOPED_TRACE(describe_job(job));
    for (std::int32_t s = 0; s + 1 < job.stages; ++s) {
      ticks least = std::numeric_limits<ticks>::max();
      for (rank_id const a : job.live_holders(s))
        for (rank_id const b : job.live_holders(s + 1)) least = std::min(least, job.transfer(a, b));
      EXPECT_EQ(least_transfer(job, s), least);
      between_is_cheaper += least == job.transfer.between_nodes && least < job.transfer.within_node;
    }
  }
  EXPECT_GT(between_is_cheaper, 50);
}

TEST(pipeline_bounds, no_optimum_is_below_the_bound) {
  random_cases d(14);
  int proved = 0, tight = 0;
  for (int round = 0; round < 60; ++round) {
    pipeline_job job{
        .pipelines = d.roll(2, 3), .stages = d.roll(2, 3), .microbatches = d.roll(1, 2)};
    job.costs = {d.costs(job.stages, 1, 5), d.costs(job.stages, 1, 5), d.costs(job.stages, 0, 5),
                 0};
    job.transfer = d.roll(0, 2);
    if (d.roll(0, 2) == 0) job.memory = stash_cap::per_worker(d.roll(1, 2));
    make_some_uneven(job);
    kill_some(d, job, 2);
    if (job.dead.empty()) job.dead.push_back({0, d.roll(0, job.stages - 1)});
    SCOPED_TRACE(describe_job(job));
    for (auto const rule : {routing::by_load, routing::pooled})
      for (bool const stagger : {false, true}) {
        auto const exact =
            branch_and_bound{.stagger = stagger, .rule = rule, .most_nodes = 3'000}(job);
        if (!exact.has_plan()) continue;
        EXPECT_GE(period(job, exact.plan), period_bound(job, stagger));
        ++proved;
        tight += period(job, exact.plan) == period_bound(job, stagger);
      }
  }
  EXPECT_GT(proved, 100);
  EXPECT_GT(2 * tight, proved);
}

// Ranks with runs of stages, another split and other numbers of micro-batches in each pipeline.
pipeline_job job_of_unlike_pipelines(random_cases& d, std::int32_t most_stages,
                                     std::int32_t most_microbatches) {
  pipeline_job job{.pipelines = 2, .stages = d.roll(2, most_stages)};
  job.microbatches = {d.roll(1, most_microbatches), d.roll(1, most_microbatches)};
  std::vector<rank_id> ranks;
  std::int32_t next = -1;
  for (std::int32_t p = 0; p < job.pipelines; ++p)
    for (std::int32_t s = 0; s < job.stages; ++s) {
      next += s == 0 || d.roll(0, 1) == 0;
      ranks.push_back(next);
    }
  job.layout = stage_layout::custom(std::move(ranks));
  job.costs = {d.costs(job.stages, 1, 5), d.costs(job.stages, 1, 5), d.costs(job.stages, 0, 5),
               d.costs(job.stages, 0, 3)};
  job.transfer = d.roll(0, 2);
  return job;
}

TEST(pipeline_bounds, no_optimum_of_unlike_pipelines_is_below_the_bound) {
  random_cases d(31);
  int proved = 0, shared = 0, tight = 0;
  for (int round = 0; round < 80; ++round) {
    auto job = job_of_unlike_pipelines(d, 3, 2);
    kill_some(d, job, 4);
    SCOPED_TRACE(describe_job(job));
    for (bool const stagger : {false, true}) {
      auto const exact =
          branch_and_bound{.stagger = stagger, .rule = routing::pooled, .most_nodes = 2'000}(job);
      if (!exact.has_plan()) continue;
      EXPECT_GE(period(job, exact.plan), period_bound(job, stagger));
      EXPECT_GE(makespan(job, exact.plan), makespan_bound(job));
      EXPECT_GT(period_bound(job, stagger), 0);
      ++proved;
      tight += period(job, exact.plan) == period_bound(job, stagger);
      shared += stage_groups(job).all.size() > static_cast<std::size_t>(job.stages);
    }
  }
  EXPECT_GT(proved, 60);
  EXPECT_GT(shared, 10);
  EXPECT_GT(tight, 10);
}

// Layer 0 is on ranks with one and with two stages: 12 micro-batches of 3 + 3 ticks on three ranks.
TEST(pipeline_bounds, ranks_with_a_common_stage_share_all_their_work) {
  pipeline_job const job{.pipelines = 2,
                         .stages = 2,
                         .microbatches = {8, 4},
                         .costs = {.step = 1},
                         .layout = stage_layout::custom({0, 1, 2, 2})};
  EXPECT_EQ(period_bound(job, true), (12 * 6 + 1 + 1 + 2 + 2) / 3);
}

}  // namespace
}  // namespace shunt::tests::pipeline_bounds_test
