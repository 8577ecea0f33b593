// Validated steps: a run whose steps are staggered and taken back where they do not stand ends with
// the same bits as one that waits, and as one that needs neither programs nor ranks.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "shunt/check/program.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/execute/executor.hpp"
#include "shunt/execute/inline_executor.hpp"
#include "shunt/execute/recovery.hpp"
#include "shunt/execute/thread_executor.hpp"
#include "shunt/lower/pipeline.hpp"
#include "shunt/lower/step_validation.hpp"
#include "shunt/lower/validated_join.hpp"
#include "shunt/program/program.hpp"
#include "shunt/simulate/cost_model.hpp"
#include "shunt/simulate/simulated_executor.hpp"
#include "shunt/solve/pipeline/chimera.hpp"
#include "shunt/solve/pipeline/dual_pipe.hpp"
#include "shunt/solve/pipeline/dual_pipe_v.hpp"
#include "shunt/solve/pipeline/hanayo.hpp"
#include "shunt/solve/pipeline/interleaved_one_f_one_b.hpp"
#include "shunt/solve/pipeline/looped_bfs.hpp"
#include "shunt/solve/pipeline/zb_v.hpp"
#include "support/random_choices.hpp"
#include "support/sample_programs.hpp"
#include "support/validated_toy.hpp"

namespace shunt::tests::step_validation_test {
namespace {

using namespace validated_toy;

using namespace std::chrono_literals;

void train_staggered_and_waiting(int jobs) {
  random_choices d(7);
  int rolled_back = 0, unsteady = 0, steady_jobs = 0;
  for (int n = 0; n < jobs; ++n) {
    auto const e = random_job(d);
    SCOPED_TRACE("job " + std::to_string(n));
    int bad = 0;
    auto const expected = trained(e.what, e.iterations, &bad);
    unsteady += bad;
    auto const waiting = planned(e.job, false), staggered = planned(e.job, true);
    for (auto const* p : {&waiting, &staggered}) {
      for (auto const& v : check(p->iteration)) ADD_FAILURE() << to_string(v);
      for (auto const& v : check(p->closing)) ADD_FAILURE() << to_string(v);
    }
    auto const on = [&](auto const& executor, validated_program const& p) {
      toy_work w(e.what, e.job);
      EXPECT_EQ(run(executor, p, e.job, w, e.iterations), expected);
      return std::pair(w.rolled_back.load(), w.forwards.load());
    };
    EXPECT_EQ(on(inline_executor{}, waiting).first, 0);
    if (n % 4 == 0) on(thread_executor{}, waiting);
    on(simulated_executor{.cost = job_costs(e.job)}, waiting);
    auto const seen = on(inline_executor{}, staggered);
    if (n % 3 == 0) {
      EXPECT_EQ(on(thread_executor{}, staggered), seen);
    }
    EXPECT_EQ(on(simulated_executor{.cost = job_costs(e.job)}, staggered), seen);
    EXPECT_EQ(on(simulated_executor{.cost = uneven_costs{}}, staggered), seen);
    rolled_back += seen.first;
    int const once = static_cast<int>(e.iterations) * e.job.total_microbatches() * e.job.stages;
    if (bad == 0) {
      EXPECT_EQ(seen, (std::pair(0, once)));
      ++steady_jobs;
    } else {
      auto const live =
          e.job.ranks() -
          static_cast<std::int32_t>(e.job.dead.size() + e.job.live_peers(e.job.stages - 1).size());
      EXPECT_LE(seen.first, bad * e.job.ranks());
      EXPECT_EQ(seen.first, bad * live);
      EXPECT_GE(seen.second, once);
    }
  }
  EXPECT_GT(rolled_back, jobs);
  EXPECT_GT(unsteady, jobs / 2);
  EXPECT_GE(steady_jobs, jobs / 12);
}

TEST(step_validation, staggered_and_waiting_train_alike_on_every_executor) {
  train_staggered_and_waiting(12);
}
TEST(step_validation, staggered_and_waiting_train_alike_exhaustive) {
  train_staggered_and_waiting(60);
}

template <class Solver>
void train_on_layout(Solver const& solver, stage_layout const& layout, std::int32_t pipelines,
                     std::int32_t stages, random_choices& d, int& rolled_back) {
  for (std::int32_t const microbatches : {2, 4, 7})
    for (auto const lanes : {message_lanes::one_per_edge, message_lanes::one_per_rank}) {
      example_job e{.job = {.pipelines = pipelines,
                            .stages = stages,
                            .microbatches = microbatches,
                            .costs = {1, 1, 1, 1},
                            .layout = layout},
                    .iterations = 4};
      e.what = {.stages = stages,
                .pipelines = pipelines,
                .microbatches = microbatches,
                .most_norm = 60.0 + d.below(100)};
      e.what.bad.insert({d.below(stages), 1});
      auto const answer = solver(e.job);
      if (!answer.has_plan()) continue;
      SCOPED_TRACE(std::string(Solver::name) + ", M = " + std::to_string(microbatches) + ", " +
                   std::string(to_string(lanes)));
      auto const plain = lower(e.job, answer.plan, tensors(), lanes);
      auto const expected = trained(e.what, e.iterations);
      for (auto const when : {validation::in_next_iteration, validation::before_step}) {
        auto const p = validated(plain, when);
        for (auto const& v : check(p.iteration)) ADD_FAILURE() << to_string(v);
        for (auto const& v : check(p.closing)) ADD_FAILURE() << to_string(v);
        toy_work one(e.what, e.job), many(e.what, e.job), timed(e.what, e.job);
        EXPECT_EQ(run(inline_executor{}, p, e.job, one, e.iterations), expected);
        EXPECT_EQ(run(thread_executor{}, p, e.job, many, e.iterations), expected);
        EXPECT_EQ(run(simulated_executor{.cost = uneven_costs{}}, p, e.job, timed, e.iterations),
                  expected);
        rolled_back += one.rolled_back;
      }
    }
}

TEST(step_validation, ranks_of_several_stages) {
  random_choices d(5);
  int rolled_back = 0;
  auto const on = [&](auto const& solver, stage_layout const& layout, std::int32_t pipelines,
                      std::int32_t stages) {
    int here = 0;
    train_on_layout(solver, layout, pipelines, stages, d, here);
    EXPECT_GT(here, 0);
    rolled_back += here;
  };
  on(interleaved_one_f_one_b{}, stage_layout::looped(2), 1, 8);
  on(looped_bfs{}, stage_layout::looped(3), 2, 6);
  on(zb_v{}, stage_layout::v_shaped(), 1, 8);
  on(hanayo{}, stage_layout::wave(4), 1, 8);
  on(dual_pipe{}, stage_layout::bidirectional(), 2, 4);
  on(dual_pipe_v{}, stage_layout::v_shaped(), 1, 8);
  on(chimera{}, stage_layout::bidirectional(), 2, 4);
}

template <class Executor>
recovery_report recovered(Executor const& executor, example_job const& e, toy_work& w,
                          std::vector<join> joins = {}) {
  auto const without = [&](std::span<rank_id const> dead) {
    auto job = e.job;
    job.dead.clear();
    for (rank_id const r : dead) job.dead.push_back(job.worker_of(r));
    return job;
  };
  auto const part = [&](program validated_program::* which) {
    return [&, which](std::span<rank_id const> dead) -> std::optional<program> {
      auto const job = without(dead);
      if (stage_without_worker(job)) return std::nullopt;
      auto p = planned(job, true).*which;
      w.fit(p);
      return p;
    };
  };
  auto const transfer = [&](rank_id joining,
                            std::span<rank_id const> dead) -> std::optional<program> {
    std::vector<rank_id> rest(dead.begin(), dead.end());
    std::erase(rest, joining);
    auto const p = planned(without(rest), true).iteration;
    w.fit(p);
    for (rank_id r : ids<rank_id>(e.job.ranks()))
      if (!std::binary_search(dead.begin(), dead.end(), r)) w.replace(joining, w.iteration_of(r));
    auto const copies = validated_join(p, joining);
    EXPECT_TRUE(check(copies).empty());
    return copies;
  };
  w.initialise(planned(e.job, true).iteration);
  recovery const config{
      .end = e.iterations, .joins = std::move(joins), .close = part(&validated_program::closing)};
  return run_through_losses(
      executor, w, config, part(&validated_program::iteration), [](completed_iteration const&) {},
      transfer);
}

void expect_trained(example_job const& e, toy_work& w, recovery_report const& report) {
  auto const expected = trained(e.what, e.iterations);
  EXPECT_EQ(report.stopped, "");
  for (rank_id r : ids<rank_id>(e.job.ranks())) {
    if (std::binary_search(report.dead.begin(), report.dead.end(), r)) continue;
    for (auto const& [stage, state] : w.states(r))
      EXPECT_EQ(state, expected[stage.index()]) << "rank " << r.value();
  }
}

template <class Executor>
int fail_everywhere(example_job const& e, std::int64_t iteration, Executor const& with) {
  int rolled_back = 0;
  auto const p = planned(e.job, true);
  for (rank_id const victim : ids<rank_id>(e.job.ranks())) {
    auto const& list =
        (iteration == e.iterations ? p.closing : p.iteration).ranks[victim].instructions;
    for (std::int32_t n = 0; n <= static_cast<std::int32_t>(list.size()); ++n) {
      SCOPED_TRACE("rank " + std::to_string(victim.value()) + " at " + std::to_string(n) +
                   " of iteration " + std::to_string(iteration));
      toy_work w(e.what, e.job);
      auto const report = recovered(with({victim, iteration, n}), e, w);
      EXPECT_EQ(report.losses.size(), 1U);
      expect_trained(e, w, report);
      rolled_back += w.rolled_back;
    }
  }
  return rolled_back;
}

auto const on_one_thread = [](failure_point const& f) { return inline_executor{.failures = {f}}; };
auto const on_threads = [](failure_point const& f) {
  return thread_executor{.failures = {f}, .timeout = 2ms};
};
/// One rank after another is slow, so that the others are far ahead.
struct slow_rank {
  rank_id slow{};
  [[nodiscard]] ticks compute(rank_id r, operation const&) const { return r == slow ? 50 : 1; }
  [[nodiscard]] transfer_time transfer(rank_id, rank_id, byte_count) const { return {}; }
};

example_job unsteady(std::int32_t pipelines, std::int32_t stages) {
  example_job e{
      .job = {.pipelines = pipelines, .stages = stages, .microbatches = 2, .costs = {1, 1, 1, 3}},
      .iterations = 4};
  e.what = {.stages = stages,
            .pipelines = pipelines,
            .microbatches = 2,
            .most_norm = 100,
            .bad = {{stages - 1, 1}}};
  return e;
}

TEST(step_validation, a_loss_at_every_instruction) {
  auto const e = unsteady(2, 2);
  int rejected = 0;
  (void)trained(e.what, e.iterations, &rejected);
  EXPECT_GE(rejected, 3);
  for (std::int64_t const iteration : {std::int64_t{1}, std::int64_t{2}, e.iterations})
    EXPECT_GT(fail_everywhere(e, iteration, on_one_thread), 0);
  EXPECT_GT(fail_everywhere(e, 2, on_threads), 0);
  for (rank_id const slow : ids<rank_id>(e.job.ranks()))
    EXPECT_GT(fail_everywhere(e, 2,
                              [&](failure_point const& f) {
                                return simulated_executor<slow_rank>{
                                    .cost = {slow}, .failures = {f}, .timeout = 10};
                              }),
              0);
}

TEST(step_validation, a_loss_at_every_instruction_of_more_stages) {
  auto const e = unsteady(3, 3);
  EXPECT_GT(fail_everywhere(e, 2, on_one_thread), 0);
}

void lose_and_join(int jobs) {
  random_choices d(11);
  int rolled_back = 0, joined = 0, lost = 0;
  for (int n = 0; n < jobs; ++n) {
    SCOPED_TRACE("job " + std::to_string(n));
    auto e = random_job(d);
    e.job.dead.clear();
    e.job.pipelines = e.what.pipelines = 2 + d.below(2);
    e.iterations += 3;
    std::vector<failure_point> failures;
    std::vector<join> joins;
    for (stage_id s : ids<stage_id>(e.job.stages)) {
      if (d.below(3) == 0) continue;
      rank_id const victim = e.job.rank_of({d.below(e.job.pipelines), s});
      auto const when = d.below(e.iterations - 1);
      failures.push_back({victim, when, d.below(30)});
      if (d.coin()) joins.push_back({victim, when + 1 + d.below(e.iterations - when - 1)});
    }
    toy_work w(e.what, e.job);
    auto const report =
        n % 3 == 0 ? recovered(thread_executor{.failures = failures, .timeout = 2ms}, e, w, joins)
        : n % 3 == 1
            ? recovered(inline_executor{.failures = failures}, e, w, joins)
            : recovered(
                  simulated_executor{.cost = uneven_costs{}, .failures = failures, .timeout = 5}, e,
                  w, joins);
    expect_trained(e, w, report);
    rolled_back += w.rolled_back;
    joined += static_cast<int>(report.joined.size());
    lost += static_cast<int>(report.losses.size());
  }
  EXPECT_GT(rolled_back, jobs);
  EXPECT_GT(joined, jobs / 6);
  EXPECT_GT(lost, jobs / 2);
}

TEST(step_validation, random_losses_and_joins) { lose_and_join(12); }
TEST(step_validation, random_losses_and_joins_exhaustive) { lose_and_join(60); }

}  // namespace
}  // namespace shunt::tests::step_validation_test
