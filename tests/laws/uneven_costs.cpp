#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "shunt/check/pipeline.hpp"
#include "shunt/check/pipeline_times.hpp"
#include "shunt/check/program.hpp"
#include "shunt/lower/pipeline.hpp"
#include "shunt/measure/pipeline.hpp"
#include "shunt/measure/pipeline_bounds.hpp"
#include "shunt/measure/times.hpp"
#include "shunt/problem/measured_costs.hpp"
#include "shunt/simulate/simulated_executor.hpp"
#include "shunt/solve/pipeline/branch_and_bound.hpp"
#include "shunt/solve/pipeline/gpipe.hpp"
#include "shunt/solve/pipeline/improve_order.hpp"
#include "shunt/solve/pipeline/one_f_one_b.hpp"
#include "shunt/solve/pipeline/reroute.hpp"
#include "shunt/solve/pipeline/slipstream.hpp"
#include "shunt/solve/pipeline/split_backward.hpp"
#include "shunt/solve/pipeline/stagger_step.hpp"
#include "shunt/solve/pipeline/zb_h1.hpp"
#include "shunt/solve/pipeline/zero_bubble.hpp"
#include "support/every_plan.hpp"
#include "support/pipeline_jobs.hpp"
#include "support/random_cases.hpp"
#include "support/text.hpp"

// Costs by rank, lengths of micro-batches, times by link.
namespace shunt::tests::uneven_costs_test {
namespace {

struct size {
  std::int32_t pipelines, stages;
  per_pipeline microbatches;
  std::vector<worker> dead{};
};

pipeline_job tiny_job(random_cases& d, size const& of) {
  pipeline_job job{.pipelines = of.pipelines, .stages = of.stages, .microbatches = of.microbatches};
  job.costs = {d.costs(of.stages, 1, 3), d.costs(of.stages, 1, 3), d.costs(of.stages, 0, 3),
               d.costs(of.stages, 0, 3)};
  job.transfer = d.roll(0, 2);
  if (d.roll(0, 2) == 0) job.memory = stash_cap::per_worker(d.roll(1, 2));
  job.dead = of.dead;
  make_unlike(d, job);
  return job;
}

// What holds for every answer.
template <class Solver>
solution<pipeline_schedule> checked(pipeline_job const& job, Solver const& solver) {
  SCOPED_TRACE(std::string(Solver::name));
  auto const answer = solve(job, solver);
  EXPECT_EQ(answer, solve(job, solver));
  EXPECT_TRUE(answer.has_plan()) << answer.reason;
  if (!answer.has_plan()) return answer;
  EXPECT_EQ(lines(check(job, answer.plan)), "");
  EXPECT_EQ(lines(check(job, answer.plan, steady_times(job, answer.plan))), "");
  EXPECT_EQ(answer.objective, static_cast<double>(period(job, answer.plan)));
  EXPECT_GE(answer.objective, answer.lower_bound);
  EXPECT_EQ(answer.status == status::optimal, answer.objective == answer.lower_bound);
  EXPECT_GE(makespan(job, answer.plan), makespan_bound(job));
  EXPECT_EQ(lines(check(lower(job, answer.plan))), "");
  return answer;
}

TEST(uneven_costs, every_solver_on_random_jobs) {
  random_cases d(15);
  for (int round = 0; round < 15; ++round) {
    auto job = random_linear_job(d, 3, 4, 6);
    job.memory = round % 3 == 0 ? stash_cap::one_f_one_b() : stash_cap::none();
    while (stage_without_worker(job)) job.dead.pop_back();
    make_unlike(d, job);
    SCOPED_TRACE(describe_job(job));
    auto const simple = solve(job, one_f_one_b{} | reroute{});
    for (bool const split : {false, true})
      for (bool const stagger : {false, true}) {
        auto const found =
            checked(job, slipstream{.split = split, .stagger = stagger, .effort = 50'000});
        if (simple.has_plan()) {
          EXPECT_LE(found.objective, simple.objective);
        }
      }
    if (simple.has_plan()) checked(job, one_f_one_b{} | reroute{} | improve_order{.effort = 5'000});
    if (!job.dead.empty()) continue;
    auto const all_wait = checked(job, one_f_one_b{});
    EXPECT_LE(checked(job, slipstream{.reroute = false, .effort = 50'000}).objective,
              all_wait.objective);
    checked(job, zb_h1{});
    if (job.memory.rule != stash_cap::kind::none) continue;
    checked(job, gpipe{} | split_backward{} | stagger_step{});
    for (bool const stagger : {false, true})
      checked(job, zero_bubble{.stagger = stagger, .effort = 20'000});
  }
}

// The layouts whose ranks have several stages.
TEST(uneven_costs, chunks_of_unlike_ranks) {
  random_cases d(14);
  for (int round = 0; round < 10; ++round) {
    auto job = random_job_with_failures(d, true);
    job.memory = stash_cap::none();
    make_unlike(d, job);
    if (stage_without_worker(job)) continue;
    SCOPED_TRACE(describe_job(job));
    checked(job, slipstream{.effort = 30'000});
    checked(job, slipstream{.stagger = false, .effort = 30'000});
  }
}

TEST(uneven_costs, no_plan_of_a_tiny_job_beats_the_bounds_and_solvers_find_the_best) {
  random_cases d(16);
  int cases = 0, tight = 0, best = 0, proved = 0;
  for (auto const& of : std::vector<size>{
           {1, 2, 2}, {1, 1, 3}, {2, 1, {2, 1}}, {3, 1, 1}, {2, 2, 1}, {2, 2, 1, {{1, 0}}}})
    for (int round = 0; round < 2; ++round) {
      auto const job = tiny_job(d, of);
      SCOPED_TRACE(describe_job(job));
      every_plan const all(job);
      ASSERT_GT(all.plans, 0);
      EXPECT_GE(all.least_makespan, makespan_bound(job));
      for (bool const staggered : {false, true}) {
        auto const least = static_cast<double>(all.least[staggered]);
        auto const bound = static_cast<double>(period_bound(job, staggered));
        EXPECT_GE(least, bound);
        auto const found =
            checked(job, slipstream{.stagger = staggered, .effort = 20'000}).objective;
        EXPECT_GE(found, least);
        auto const exact =
            checked(job, branch_and_bound{.stagger = staggered, .most_nodes = 20'000});
        EXPECT_GE(exact.objective, least);
        EXPECT_LE(exact.lower_bound, exact.objective);
        if (branch_and_bound{}.bounds_every_plan(job) && exact.status == status::optimal) {
          EXPECT_EQ(exact.objective, least);
          ++proved;
        }
        ++cases;
        tight += least == bound;
        best += found == least;
      }
    }
  EXPECT_GT(tight * 2, cases);  // the bounds are worth something
  EXPECT_GT(proved * 4, cases);
  EXPECT_GE(best * 10, cases * 9);
}

TEST(uneven_costs, plans_are_simulated_at_the_times_that_are_measured) {
  random_cases d(17);
  for (int round = 0; round < 40; ++round) {
    auto job = random_linear_job(d, 3, 4, 5);
    job.dead.clear();
    job.memory = stash_cap::none();
    make_unlike(d, job);
    SCOPED_TRACE(describe_job(job));
    for (auto const& plan : {one_f_one_b{}(job).plan, gpipe{}(job).plan}) {
      auto const expected = times(job, plan);
      EXPECT_EQ(lines(check(job, plan, expected)), "");
      timetable found;
      found.times.resize(plan.order.size());
      for (auto const& e : simulated_executor{job_costs(job)}.run(lower(job, plan)).timeline.events)
        if (e.code == opcode::compute) found.times[e.rank].push_back({e.start, e.end});
      EXPECT_EQ(found, expected);
      EXPECT_GE(makespan(job, plan), makespan_bound(job));
      EXPECT_GE(period(job, plan), period_bound(job, false));
    }
  }
}

// Three pipelines of four stages, one worker at half speed: 8 + 7 + 3 micro-batches of 3 ticks, the
// slow worker's of 6, then the step.
TEST(uneven_costs, one_slow_worker_of_twelve_costs_little) {
  auto job = paper_job();
  std::vector<ticks> times(12, 1);
  times[6] = 2;
  job.costs = {per_stage(times), per_stage(times), per_stage(times), 3};
  EXPECT_EQ(period_bound(job, true), 27);
  auto const answer = checked(job, slipstream{});
  EXPECT_EQ(answer.objective, 27);
  std::vector<std::int64_t> shares;
  for (std::int32_t p = 0; p < 3; ++p) {
    auto const& list = answer.plan.order[job.rank_of({p, 2})];
    shares.push_back(std::count_if(list.begin(), list.end(),
                                   [](operation const& o) { return o.kind == op_kind::forward; }));
  }
  EXPECT_EQ(shares[1], 3);
  EXPECT_EQ(std::max(shares[0], shares[2]), 8);
  EXPECT_EQ(solve(job, slipstream{.reroute = false}).objective, 39);  // all wait
}

// The least period is the least over all shares of the slow stage, 27 ticks: no worker there is
// busy for less than its share, and then it steps.
TEST(uneven_costs, brute_force_over_the_shares_of_a_slow_stage) {
  for (std::int32_t const factor : {2, 3, 4})
    for (worker const slow : {worker{1, 2}, worker{0, 0}, worker{2, 3}}) {
      auto job = paper_job();
      job.costs = slowed(job, slow, factor);
      ticks least = std::numeric_limits<ticks>::max();
      for (ticks a = 0; a <= 18; ++a)
        for (ticks b = 0; a + b <= 18; ++b)
          least = std::min(least, std::max({3 * factor * a, 3 * b, 3 * (18 - a - b)}) + 3);
      EXPECT_EQ(period_bound(job, true), least);
      EXPECT_EQ(least, 27);
      auto const found = checked(job, slipstream{.effort = 200'000}).objective;
      EXPECT_LE(found, factor == 2 ? 27 : 30);
    }
}

TEST(uneven_costs, brute_force_over_all_plans_with_a_slow_worker) {
  for (auto const& of : std::vector<size>{{3, 1, 1}, {2, 2, 1}, {1, 2, 2}})
    for (std::int32_t const w : {0, of.pipelines * of.stages - 1}) {
      pipeline_job job{.pipelines = of.pipelines,
                       .stages = of.stages,
                       .microbatches = of.microbatches,
                       .costs = {.step = 3}};
      job.costs = slowed(job, job.worker_of(w), 2);
      SCOPED_TRACE(describe_job(job));
      every_plan const all(job);
      for (bool const staggered : {false, true}) {
        auto const least = static_cast<double>(all.least[staggered]);
        EXPECT_GE(least, static_cast<double>(period_bound(job, staggered)));
        EXPECT_EQ(checked(job, slipstream{.stagger = staggered}).objective, least);
      }
    }
}

// Two stages a rank, one of which is slow: no plan beats the bounds, and no orders of one dealing
// beat all plans.
TEST(uneven_costs, brute_force_over_all_plans_of_chunks_with_a_slow_rank) {
  pipeline_job job{.pipelines = 2, .stages = 2, .microbatches = 1};
  job.layout = stage_layout::looped(2);
  job.costs = {{1, 2}, {2, 1}, {1, 1}, {1, 0}};
  job.costs = slowed(job, {1, 0}, 2);
  every_plan const all(job);
  EXPECT_GE(all.least_makespan, makespan_bound(job));
  for (bool const staggered : {false, true}) {
    EXPECT_GE(all.least[staggered], period_bound(job, staggered));
    EXPECT_LE(all.least[staggered], period_bound(job, staggered) + 2);
    EXPECT_GE(branch_and_bound{.stagger = staggered}(job).objective,
              static_cast<double>(all.least[staggered]));
  }
}

// A slow rank with several stages does in proportion less of the work of all of them.
TEST(uneven_costs, bounds_of_chunks_beside_a_slow_rank_are_reached_or_near) {
  for (auto const& layout : {stage_layout::looped(2), stage_layout::wave(2)}) {
    pipeline_job job{.pipelines = 3, .stages = 4, .microbatches = 6, .costs = {.step = 3}};
    job.layout = layout;
    auto const even = period_bound(job, true);
    EXPECT_EQ(even, 6 * 2 * 3 + 2 * 3);
    job.costs = slowed(job, {1, 2}, 2);
    // 18 micro-batches at two stages: 36 times 3 ticks over ranks of paces 3, 6 and 3, then steps
    EXPECT_EQ(period_bound(job, true), 15 * 3 + 2 * 3);
    auto const found = checked(job, slipstream{}).objective;
    EXPECT_LE(found, 1.1 * static_cast<double>(period_bound(job, true)));
  }
}

// Lists that say the same for all workers, lengths of 1 and a matrix of one time.
TEST(uneven_costs, alike_in_every_list_is_measured_as_the_simple_case) {
  random_cases d(18);
  for (int round = 0; round < 30; ++round) {
    auto job = random_linear_job(d, 3, 4, 5);
    if (stage_without_worker(job)) continue;
    auto listed = job;
    auto const by_worker = [&](per_stage& list) {
      std::vector<ticks> all;
      for (pipeline_id p : ids<pipeline_id>(job.pipelines))
        for (stage_id s : ids<stage_id>(job.stages)) all.push_back(list.of(p, s, job.stages));
      list = per_stage(all);
    };
    for (auto* list : {&listed.costs.forward, &listed.costs.backward_input,
                       &listed.costs.backward_weight, &listed.costs.step})
      by_worker(*list);
    listed.lengths.assign(static_cast<std::size_t>(job.total_microbatches()), 1);
    listed.transfer = transfer_times(
        job.ranks(), std::vector<ticks>(static_cast<std::size_t>(job.ranks() * job.ranks()),
                                        job.transfer.within_node));
    SCOPED_TRACE(describe_job(job));
    EXPECT_EQ(makespan_bound(listed), makespan_bound(job));
    for (bool const staggered : {false, true}) {
      EXPECT_EQ(period_bound(listed, staggered), period_bound(job, staggered));
      EXPECT_EQ(fused_period_bound(listed, staggered), fused_period_bound(job, staggered));
    }
    EXPECT_EQ(one_f_one_b{}(listed), one_f_one_b{}(job));
  }
}

}  // namespace
}  // namespace shunt::tests::uneven_costs_test
