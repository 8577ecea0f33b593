#pragma once
#include <algorithm>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "options.hpp"
#include "pipeline_training.hpp"
#include "planning.hpp"
#include "shunt/execute/inline.hpp"
#include "shunt/execute/recovery.hpp"
#include "shunt/execute/threads.hpp"
#include "shunt/program/builder.hpp"
#include "shunt/solve/pipeline/one_f_one_b.hpp"
#include "shunt/solve/pipeline/slipstream.hpp"

namespace example {

/// An iteration as the training program reports it.
struct trained_iteration {
  std::int64_t iteration = 0;
  double loss = 0;
  std::int32_t live = 0;
  shunt::ticks planned = 0;
  std::optional<double> measured_ms{};  ///< since the iteration before; nothing where workers had just been started
};

/// A run through failures: plans whatever set of workers is alive, trains on the `threads` executor through the recovery driver.
class training_run {
 public:
  training_run(options const& o, text_bytes const& bytes) : options_(o), work_(o.training, bytes) {}

  /// Called when an iteration is complete, and when a plan without some workers was made.
  std::function<void(trained_iteration const&)> on_iteration = [](auto const&) {};
  std::function<void(planned const&)> on_plan = [](auto const&) {};

  [[nodiscard]] pipeline_training const& work() const { return work_; }
  [[nodiscard]] std::vector<trained_iteration> const& iterations() const { return iterations_; }
  /// The plan for a set of dead ranks, ascending. Throws invalid_problem where there is none.
  [[nodiscard]] planned const& plan_without(std::vector<shunt::rank_id> const& dead) {
    auto const known = plans_.find(dead);
    if (known != plans_.end()) return known->second;
    auto job = options_.training.job;
    if (options_.memory_1f1b) job.memory = shunt::stash_cap::one_f_one_b();
    for (auto const r : dead) job.dead.push_back(job.worker_of(r));
    shunt::slipstream const solver{.split = options_.split, .stagger = options_.stagger};
    return plans_.emplace(dead, plan_iteration(solver, job, work_.tensors())).first->second;
  }

  shunt::recovery_report operator()() {
    auto const& job = options_.training.job;
    shunt::recovery config{.end = options_.training.iterations};
    for (auto const& j : options_.joins) config.joins.push_back({job.rank_of(j.who), j.iteration});
    auto const plan = [&](std::span<shunt::rank_id const> dead) -> std::optional<shunt::program> {
      try {
        auto const& found = plan_without({dead.begin(), dead.end()});
        work_.fit(*found.program);
        on_plan(found);
        return *found.program;
      } catch (shunt::invalid_problem const&) {
        return std::nullopt;
      }
    };
    auto const completed = [&](shunt::completed_iteration const& c) {
      auto const& now = plan_without({c.dead.begin(), c.dead.end()});
      trained_iteration done{.iteration = c.iteration,
                             .loss = work_.loss(c.iteration),
                             .live = job.ranks() - static_cast<std::int32_t>(c.dead.size()),
                             .planned = now.period};
      if (c.took) done.measured_ms = static_cast<double>(*c.took) * 1e-6;
      iterations_.push_back(done);
      on_iteration(done);
    };
    auto const transfer = [&](shunt::rank_id joining, std::span<shunt::rank_id const> dead) -> std::optional<shunt::program> {
      auto const s = job.worker_of(joining).stage;
      for (shunt::pipeline_id p : shunt::ids<shunt::pipeline_id>(job.pipelines)) {
        auto const peer = job.rank_of({p, s});
        if (peer == joining || std::find(dead.begin(), dead.end(), peer) != dead.end()) continue;
        work_.replace(joining, work_.iteration_of(peer));
        shunt::program_builder build(job.ranks());
        for (auto const r : {peer, joining})
          build.buffer(r, shunt::pipeline_buffers::state(), work_.tensors().state[s], true);
        auto const state = build.all_of(peer, shunt::pipeline_buffers::state());
        build.message(peer, state, joining, state);
        return std::move(build).finish();
      }
      return std::nullopt;
    };
    shunt::threads const executor{.faults = faults(), .timeout = options_.timeout};
    return shunt::run_through_losses(executor, work_, config, plan, completed, transfer);
  }

 private:
  /// Where each kill strikes: in the middle of the worker's list under the plan that the iteration begins with, or as asked.
  [[nodiscard]] std::vector<shunt::fault> faults() {
    auto const& job = options_.training.job;
    std::vector<shunt::fault> all;
    for (auto const& k : options_.kills) {
      std::vector<shunt::rank_id> dead;
      for (auto const w : dead_in(options_, k.iteration, false)) dead.push_back(job.rank_of(w));
      std::sort(dead.begin(), dead.end());
      auto const length = static_cast<std::int32_t>(
          plan_without(dead).program->ranks[job.rank_of(k.who)].instructions.size());
      if (options_.kill_at.value_or(0) > length)
        throw shunt::invalid_problem("kill-at", "worker " + shunt::describe(k.who) + " has " + std::to_string(length) +
                                                    " instructions in iteration " + std::to_string(k.iteration));
      all.push_back({job.rank_of(k.who), k.iteration, options_.kill_at.value_or(length / 2)});
    }
    return all;
  }

  options const options_;
  pipeline_training work_;
  std::map<std::vector<shunt::rank_id>, planned> plans_{};
  std::vector<trained_iteration> iterations_{};
};

/// The losses of the same training without failures: other schedule (1F1B with fused backwards), other executor (one thread).
[[nodiscard]] inline std::vector<double> undisturbed_losses(pipeline_training::config training, text_bytes const& bytes) {
  training.unit = std::chrono::nanoseconds{0};
  pipeline_training work(training, bytes);
  auto const plan = plan_iteration(shunt::one_f_one_b{}, training.job, work.tensors());
  work.fit(*plan.program);
  auto session = shunt::inline_executor{}.open(work);
  for (std::int64_t i = 0; i < training.iterations; ++i) session.submit(plan.program);
  static_cast<void>(session.wait());
  std::vector<double> losses;
  for (std::int64_t i = 0; i < training.iterations; ++i) losses.push_back(work.loss(i));
  return losses;
}

}  // namespace example
