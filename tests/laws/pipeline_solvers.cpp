#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "shunt/check/pipeline.hpp"
#include "shunt/check/pipeline_times.hpp"
#include "shunt/check/program.hpp"
#include "shunt/lower/pipeline.hpp"
#include "shunt/measure/pipeline.hpp"
#include "shunt/measure/pipeline_bounds.hpp"
#include "shunt/measure/times.hpp"
#include "shunt/solve/author/pipeline.hpp"
#include "shunt/solve/pipeline/gpipe.hpp"
#include "shunt/solve/pipeline/one_f_one_b.hpp"
#include "shunt/solve/pipeline/reroute.hpp"
#include "shunt/solve/pipeline/slipstream.hpp"
#include "shunt/solve/pipeline/split_backward.hpp"
#include "shunt/solve/pipeline/stagger_step.hpp"
#include "shunt/solve/pipeline/zb_h1.hpp"
#include "shunt/solve/pipeline/zb_h2.hpp"
#include "shunt/solve/pipeline/zero_bubble.hpp"
#include "support/every_plan.hpp"
#include "support/pipeline_jobs.hpp"
#include "support/random_cases.hpp"
#include "support/text.hpp"

namespace shunt::tests::pipeline_solvers_test {
namespace {

// What holds for every answer.
template <class Solver>
solution<pipeline_schedule> checked(pipeline_job const& job, Solver const& solver) {
  SCOPED_TRACE(std::string(Solver::name));
  auto const answer = solve(job, solver);
  EXPECT_EQ(answer, solve(job, solver));
  EXPECT_EQ(answer.has_plan(), answer.reason.empty()) << answer.reason;
  auto const broken = check(job, answer.plan);
  EXPECT_EQ(answer.has_plan(), broken.empty()) << answer.reason << lines(broken);
  if (!answer.has_plan()) return answer;
  auto const steady = steady_times(job, answer.plan);
  EXPECT_EQ(lines(check(job, answer.plan, times(job, answer.plan))), "");
  EXPECT_EQ(lines(check(job, answer.plan, steady)), "");
  EXPECT_EQ(answer.objective, static_cast<double>(period(job, answer.plan, steady)));
  EXPECT_GE(answer.objective, answer.lower_bound);
  EXPECT_EQ(answer.status == status::optimal, answer.objective == answer.lower_bound);
  EXPECT_GE(makespan(job, answer.plan), makespan_bound(job));
  EXPECT_LE(period(job, answer.plan), period(job, answer.plan, times(job, answer.plan)));
  auto const share = bubble_share(job, answer.plan);
  EXPECT_TRUE(share > -1e-9 && share < 1) << share;
  EXPECT_EQ(lines(check(lower(job, answer.plan))), "");
  return answer;
}

TEST(pipeline_solvers, every_solver_on_random_jobs) {
  random_cases d(1);
  int planned = 0, hopeless = 0;
  for (int round = 0; round < 80; ++round) {
    auto const job = random_linear_job(d, 4, 5, 7);
    SCOPED_TRACE(describe_job(job));
    checked(job, gpipe{});
    checked(job, zb_h1{});
    checked(job, gpipe{} | reroute{} | split_backward{});
    checked(job, zb_h1{} | reroute{} | stagger_step{});
    bool const hope = !stage_without_worker(job);
    for (bool const split : {false, true})
      for (bool const stagger : {false, true}) {
        auto const found =
            checked(job, slipstream{.split = split, .stagger = stagger, .effort = 100'000});
        EXPECT_EQ(found.has_plan(), hope);
        auto const coupled = checked(job, one_f_one_b{} | reroute{});
        auto composed = coupled;
        if (split && composed.has_plan()) composed = split_backward{}(job, composed.plan);
        if (stagger && composed.has_plan()) composed = stagger_step{}(job, composed.plan);
        if (composed.has_plan()) {
          EXPECT_LE(composed.objective, coupled.objective);
          EXPECT_LE(found.objective, composed.objective);
        }
        if (job.dead.empty() && !split && !stagger) {
          EXPECT_LE(found.objective, checked(job, one_f_one_b{}).objective);
        }
      }
    auto const without = solve(job, slipstream{.reroute = false, .effort = 100'000});
    EXPECT_EQ(without.has_plan(), job.dead.empty());
    ++(hope ? planned : hopeless);
  }
  EXPECT_GT(planned, 40);
  EXPECT_GT(hopeless, 5);
}

TEST(pipeline_solvers, a_cap_that_no_rank_reaches_changes_nothing) {
  random_cases d(17);
  auto const same = [](pipeline_job job, auto const& solver) {
    SCOPED_TRACE(std::string(std::decay_t<decltype(solver)>::name));
    job.memory = stash_cap::per_worker(1'000'000);
    auto const with_a_large_one = solver(job);
    job.memory = stash_cap::per_worker(std::numeric_limits<std::int64_t>::max());
    EXPECT_EQ(solver(job), with_a_large_one);
    job.memory = stash_cap::per_rank(std::vector<std::int64_t>(
        static_cast<std::size_t>(job.ranks()), std::numeric_limits<std::int64_t>::max()));
    EXPECT_EQ(solver(job).objective, with_a_large_one.objective);
  };
  for (int round = 0; round < 20; ++round) {
    auto job = random_linear_job(d, 3, 4, 6);
    same(job, slipstream{.effort = 20'000});
    job.dead.clear();
    same(job, gpipe{});
    same(job, one_f_one_b{});
    same(job, zb_h1{});
    same(job, zb_h2{.effort = 20'000});
    same(job, zero_bubble{.effort = 20'000});
  }
}

TEST(pipeline_solvers, plans_do_not_change_when_costs_are_scaled) {
  random_cases d(2);
  auto const scaled = [](per_stage const& costs) {
    std::vector<ticks> each;
    for (ticks const c : costs.values()) each.push_back(c * 1000);
    return per_stage(std::move(each));
  };
  for (int round = 0; round < 40; ++round) {
    auto const job = random_linear_job(d, 3, 5, 8);
    auto large = job;
    large.costs = {scaled(job.costs.forward), scaled(job.costs.backward_input),
                   scaled(job.costs.backward_weight), scaled(job.costs.step)};
    large.transfer = 1000 * large.transfer.within_node;
    SCOPED_TRACE(describe_job(job));
    slipstream const solver{.effort = 100'000};
    auto const a = solve(job, solver), b = solve(large, solver);
    EXPECT_EQ(a.plan, b.plan);
    EXPECT_EQ(a.status == status::infeasible, b.status == status::infeasible);
    // periods are whole ticks: a mean that isn't is rounded up, and that at a finer grid
    EXPECT_LE(b.objective, 1000 * a.objective);
    EXPECT_GT(b.objective + 1000, 1000 * a.objective);
  }
}

TEST(pipeline_solvers,
     no_plan_of_a_tiny_job_beats_the_bound_and_slipstream_finds_the_best_exhaustive) {
  random_cases d(4);
  struct size {
    std::int32_t pipelines, stages;
    per_pipeline microbatches;
    std::vector<worker> dead;
  };
  std::vector<size> const sizes = {{1, 2, 2, {}},
                                   {1, 3, 2, {}},
                                   {1, 1, 3, {}},
                                   {2, 2, 1, {{1, 0}}},
                                   {2, 2, 1, {{0, 0}, {1, 1}}},
                                   {2, 1, {2, 1}, {}},
                                   {2, 1, {1, 2}, {{0, 0}}}};
  int cases = 0, tight = 0;
  for (auto const& [pipelines, stages, microbatches, dead] : sizes)
    for (int round = 0; round < (stages == 3 ? 3 : 8); ++round) {
      auto job = random_linear_job(d, 1, 1, 1);
      auto const costs = [&](std::int32_t low) {
        std::vector<ticks> each;
        for (std::int32_t s = 0; s < stages; ++s) each.push_back(d.roll(low, 6));
        return per_stage(std::move(each));
      };
      job = {.pipelines = pipelines,
             .stages = stages,
             .microbatches = microbatches,
             .costs = {.forward = costs(1),
                       .backward_input = costs(1),
                       .backward_weight = costs(0),
                       .step = costs(0)},
             .transfer = d.roll(0, 2),
             .memory = d.roll(0, 1) == 0 ? stash_cap::none() : stash_cap::per_worker(d.roll(1, 2)),
             .dead = dead};
      SCOPED_TRACE(describe_job(job));
      every_plan const all(job);
      ASSERT_GT(all.plans, 0);
      for (bool const staggered : {false, true}) {
        auto const answer = solve(job, slipstream{.stagger = staggered});
        EXPECT_GE(all.least[staggered], period_bound(job, staggered));
        EXPECT_EQ(answer.objective, static_cast<double>(all.least[staggered]))
            << "staggered " << staggered;
        ++cases;
        tight += all.least[staggered] == period_bound(job, staggered);
      }
    }
  EXPECT_GT(tight * 2, cases);  // the bound is worth something
}

}  // namespace
}  // namespace shunt::tests::pipeline_solvers_test
