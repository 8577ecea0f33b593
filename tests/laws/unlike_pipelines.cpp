// Laws of jobs whose pipelines differ: in their micro-batches, their numbers of ranks and the
// ranks' runs of stages. And of ranks that are numbered otherwise.
#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "shunt/check/pipeline.hpp"
#include "shunt/check/pipeline_actions.hpp"
#include "shunt/check/program.hpp"
#include "shunt/core/error.hpp"
#include "shunt/lower/pipeline.hpp"
#include "shunt/lower/pipeline_messages.hpp"
#include "shunt/measure/pipeline.hpp"
#include "shunt/measure/pipeline_bounds.hpp"
#include "shunt/problem/stage_runs.hpp"
#include "shunt/solve/pipeline/chimera.hpp"
#include "shunt/solve/pipeline/dual_pipe.hpp"
#include "shunt/solve/pipeline/gpipe.hpp"
#include "shunt/solve/pipeline/interleaved_one_f_one_b.hpp"
#include "shunt/solve/pipeline/one_f_one_b.hpp"
#include "shunt/solve/pipeline/reroute.hpp"
#include "shunt/solve/pipeline/slipstream.hpp"
#include "shunt/solve/pipeline/split_backward.hpp"
#include "shunt/solve/pipeline/stagger_step.hpp"
#include "shunt/solve/pipeline/zb_h1.hpp"
#include "shunt/solve/pipeline/zb_h2.hpp"
#include "shunt/solve/pipeline/zero_bubble.hpp"
#include "support/pipeline_jobs.hpp"
#include "support/random_cases.hpp"
#include "support/refusals.hpp"
#include "support/text.hpp"

namespace shunt::tests::unlike_pipelines_test {
namespace {

// Every pipeline cuts the layers anew, over 1 .. all of them ranks; ranks have any numbers.
pipeline_job job_of_templates(random_cases& d) {
  pipeline_job job{.pipelines = d.roll(2, 4), .stages = d.roll(3, 8)};
  std::vector<std::int32_t> counts, seats;
  std::int32_t ranks = 0;
  for (std::int32_t p = 0; p < job.pipelines; ++p) {
    counts.push_back(d.roll(1, 7));
    for (std::int32_t s = 0; s < job.stages; ++s) {
      ranks += s == 0 || d.roll(0, 2) == 0;
      seats.push_back(ranks - 1);
    }
  }
  std::vector<std::int32_t> number(static_cast<std::size_t>(ranks));
  for (std::size_t r = 0; r < number.size(); ++r) number[r] = static_cast<std::int32_t>(r);
  for (std::size_t r = number.size(); r-- > 1;)
    std::swap(number[r], number[static_cast<std::size_t>(d.roll(0, static_cast<std::int32_t>(r)))]);
  std::vector<rank_id> layout;
  for (std::int32_t const seat : seats) layout.push_back(number[static_cast<std::size_t>(seat)]);
  job.microbatches = per_pipeline(std::move(counts));
  job.layout = stage_layout::custom(std::move(layout));
  job.costs = {d.costs(job.stages, 1, 9), d.costs(job.stages, 1, 9), d.costs(job.stages, 0, 9),
               d.costs(job.stages, 0, 4)};
  job.transfer = d.roll(0, 3);
  return job;
}

void expect_sound(pipeline_job const& job, solution<pipeline_schedule> const& answer,
                  std::string const& name) {
  ASSERT_TRUE(answer.has_plan()) << name << ": " << answer.reason;
  EXPECT_EQ(lines(check(job, answer.plan)), "") << name;
  EXPECT_GE(answer.objective, answer.lower_bound) << name;
  EXPECT_EQ(answer.objective, static_cast<double>(period(job, answer.plan))) << name;
  EXPECT_GE(makespan(job, answer.plan), makespan_bound(job)) << name;
  EXPECT_EQ(lines(check(job, answer.plan, place_messages(job, answer.plan))), "") << name;
  EXPECT_EQ(lines(check(lower(job, answer.plan))), "") << name;
}

TEST(unlike_pipelines, plans_of_all_solvers_pass_the_checks) {
  random_cases d(41);
  for (int round = 0; round < 60; ++round) {
    auto job = job_of_templates(d);
    SCOPED_TRACE(describe_job(job));
    if (d.roll(0, 1) == 0) job.memory = stash_cap::one_f_one_b();
    expect_sound(job, one_f_one_b{}(job), "one_f_one_b");
    expect_sound(job, zero_bubble{.effort = 20'000}(job), "zero_bubble");
    expect_sound(job, slipstream{.effort = 20'000}(job), "slipstream");
    job.memory = stash_cap::none();
    expect_sound(job, gpipe{}(job), "gpipe");
    expect_sound(job, zb_h1{}(job), "zb_h1");
  }
}

// The i-th of s ranks holds s - i micro-batches at the most, of all its stages.
TEST(unlike_pipelines, in_flight_of_1f1b_is_s_minus_i) {
  random_cases d(42);
  for (int round = 0; round < 60; ++round) {
    auto const job = job_of_templates(d);
    SCOPED_TRACE(describe_job(job));
    auto const peak = stash_peak(job, one_f_one_b{}(job).plan);
    auto const runs = runs_of(job);
    ASSERT_FALSE(runs.empty());
    for (rank_id r : ids<rank_id>(job.ranks())) {
      auto const& own = runs[r];
      EXPECT_EQ(peak[r], std::min(own.ranks - own.place, job.microbatches[own.pipeline]) *
                             (own.last.value() - own.first.value() + 1));
    }
  }
}

TEST(unlike_pipelines, micro_batches_of_dead_ranks_are_rerouted) {
  random_cases d(43);
  int dead = 0;
  for (int round = 0; round < 60; ++round) {
    auto job = job_of_templates(d);
    kill_some(d, job, 4);
    SCOPED_TRACE(describe_job(job));
    dead += !job.dead.empty();
    expect_sound(job, (one_f_one_b{} | reroute{})(job), "reroute");
    expect_sound(job, (one_f_one_b{} | reroute{} | split_backward{} | stagger_step{})(job), "all");
    expect_sound(job, slipstream{.effort = 20'000}(job), "slipstream");
  }
  EXPECT_GT(dead, 30);
}

// Of ranks that are numbered otherwise every solver makes the same plan.
template <class Solver>
void expect_the_same_under_other_numbers(Solver const& solver, pipeline_job const& linear) {
  auto job = linear;
  job.layout = stage_layout::stage_major(job.pipelines, job.stages);
  auto const one = solver(linear), other = solver(job);
  EXPECT_EQ(one.status, other.status);
  EXPECT_EQ(one.objective, other.objective);
  ASSERT_EQ(one.plan.order.size(), other.plan.order.size());
  for (pipeline_id p : ids<pipeline_id>(job.pipelines))
    for (stage_id s : ids<stage_id>(job.stages))
      EXPECT_EQ(one.plan.order[linear.rank_of({p, s})], other.plan.order[job.rank_of({p, s})]);
}

TEST(unlike_pipelines, the_numbers_of_ranks_change_nothing) {
  random_cases d(44);
  for (int round = 0; round < 40; ++round) {
    auto job = random_linear_job(d, 4, 6, 8);
    job.dead.clear();
    SCOPED_TRACE(describe_job(job));
    expect_the_same_under_other_numbers(one_f_one_b{}, job);
    expect_the_same_under_other_numbers(zb_h1{}, job);
    expect_the_same_under_other_numbers(gpipe{}, job);
    expect_the_same_under_other_numbers(interleaved_one_f_one_b{}, job);
    if (job.microbatches.uniform()) {
      expect_the_same_under_other_numbers(slipstream{.effort = 20'000}, job);
      EXPECT_EQ(zb_h2{.effort = 20'000}(job).objective, [&] {
        auto other = job;
        other.layout = stage_layout::stage_major(job.pipelines, job.stages);
        return zb_h2{.effort = 20'000}(other).objective;
      }());
    }
    auto other = job;
    other.layout = stage_layout::stage_major(job.pipelines, job.stages);
    for (bool const stagger : {false, true})
      EXPECT_EQ(period_bound(job, stagger), period_bound(other, stagger));
  }
}

// A list of equal counts is another value than one count, and the same problem.
TEST(unlike_pipelines, equal_counts_are_one_count) {
  random_cases d(45);
  for (int round = 0; round < 30; ++round) {
    auto one = random_job_with_failures(d, true);
    one.microbatches = one.microbatches[0];
    auto list = one;
    list.microbatches = per_pipeline(
        std::vector<std::int32_t>(static_cast<std::size_t>(one.pipelines), one.microbatches[0]));
    SCOPED_TRACE(describe_job(list));
    EXPECT_EQ(slipstream{.effort = 5'000}(one), slipstream{.effort = 5'000}(list));
    EXPECT_EQ(period_bound(one, true), period_bound(list, true));
  }
}

TEST(unlike_pipelines, pipelines_that_share_ranks_have_equal_counts_under_chimera_and_dual_pipe) {
  pipeline_job const job{.pipelines = 4,
                         .stages = 4,
                         .microbatches = {4, 4, 6, 4},
                         .layout = stage_layout::bidirectional()};
  EXPECT_EQ(thrown_by([&] { (void)chimera{}(job); }),
            "microbatches: must be the same in pipelines 2 and 3 for chimera, are 6 and 4");
  EXPECT_EQ(thrown_by([&] { (void)dual_pipe{}(job); }),
            "microbatches: must be the same in pipelines 2 and 3 for dual_pipe, are 6 and 4");
  auto even = job;
  even.microbatches = {4, 4, 6, 6};
  expect_sound(even, chimera{}(even), "chimera");
  expect_sound(even, dual_pipe{}(even), "dual_pipe");
}

}  // namespace
}  // namespace shunt::tests::unlike_pipelines_test
