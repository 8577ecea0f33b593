#pragma once
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "pipeline_training.hpp"
#include "planning.hpp"
#include "shunt/core/error.hpp"
#include "shunt/core/id.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/core/units.hpp"
#include "shunt/execute/inline_executor.hpp"
#include "shunt/execute/recovery.hpp"
#include "shunt/lower/pipeline_join.hpp"
#include "shunt/lower/salvage.hpp"
#include "shunt/lower/step_validation.hpp"
#include "shunt/lower/validated_join.hpp"
#include "shunt/plan/surviving_gradients.hpp"
#include "shunt/problem/pipeline_job.hpp"
#include "shunt/program/interrupted.hpp"
#include "shunt/program/program.hpp"
#include "shunt/solve/pipeline/one_f_one_b.hpp"
#include "shunt/solve/pipeline/slipstream.hpp"

namespace example {

/// An iteration as the training program reports it.
struct trained_iteration {
  std::int64_t iteration = 0;
  double loss = 0;
  std::int32_t live = 0;
  shunt::ticks planned = 0;
  std::optional<double>
      measured_ms{};  ///< since the iteration before; nothing where workers had just been started
};

/// A run through failures: plans for whatever workers are alive and trains through the recovery
/// driver, on any executor of the kind of work. `more` is what the work is made of beside the
/// configuration and the text.
template <class Work>
class training_run_of {
 public:
  template <class... More>
  training_run_of(pipeline_training::config const& training, shunt::slipstream const& solver,
                  text_bytes const& bytes, More&&... more)
      : job_(training.job),
        solver_(solver),
        end_(training.iterations),
        work_(training, bytes, std::forward<More>(more)...) {}

  /// From now on only what is missing of an iteration is done again after a loss. Throws
  /// invalid_problem where steps are validated.
  void salvage() {
    if (work_.validates())
      throw shunt::invalid_problem("salvage",
                                   "steps that are validated (clip, inject-nan) can't be salvaged");
    salvage_ = true;
  }

  /// Called when an iteration is complete.
  std::function<void(trained_iteration const&)> on_iteration = [](auto const&) {};
  /// Called before an iteration that other workers take part in than in the one before.
  std::function<void(planned const&, std::int64_t)> on_plan = [](auto const&, std::int64_t) {};

  [[nodiscard]] Work& work() { return work_; }
  [[nodiscard]] std::vector<trained_iteration> const& iterations() const { return iterations_; }

  /// The plan for a set of dead ranks, ascending. Throws invalid_problem where there is none.
  [[nodiscard]] planned const& plan_without(std::vector<shunt::rank_id> const& dead) {
    auto const known = plans_.find(dead);
    if (known != plans_.end()) return known->second;
    return plans_
        .emplace(dead, plan_iteration(solver_, job_without(dead), work_.tensors(),
                                      work_.validates(), salvage_))
        .first->second;
  }

  /// Trains all iterations, or those before the first that has no plan. `joins` come back with a
  /// copy of a live peer's state.
  template <class Executor>
  shunt::recovery_report operator()(Executor const& executor, std::vector<shunt::join> joins = {}) {
    std::vector<shunt::rank_id> dead;
    for (auto const& w : job_.dead) dead.push_back(job_.rank_of(w));
    return (*this)(executor, {.end = end_, .dead = std::move(dead), .joins = std::move(joins)});
  }
  /// The same from an iteration on, as a process sees it that comes later. `from.end` is that of
  /// the run.
  template <class Executor>
  shunt::recovery_report operator()(Executor const& executor, shunt::recovery from) {
    next_ = from.first;
    auto const plan = [&](std::span<shunt::rank_id const> dead) -> std::optional<shunt::program> {
      std::vector<shunt::rank_id> const without(dead.begin(), dead.end());
      if (stage_without_worker(job_without(without))) return std::nullopt;
      auto const& found = plan_without(without);
      work_.fit(*found.program);
      on_plan(found, next_);
      return *found.program;
    };
    auto const completed = [&](shunt::completed_iteration const& c) {
      trained_iteration done{.iteration = c.iteration,
                             .loss = work_.loss(c.iteration),
                             .live = job_.ranks() - static_cast<std::int32_t>(c.dead.size()),
                             .planned = plan_without({c.dead.begin(), c.dead.end()}).period};
      next_ = c.iteration + 1;
      if (c.took) done.measured_ms = static_cast<double>(*c.took) * 1e-6;
      iterations_.push_back(done);
      on_iteration(done);
    };
    auto const transfer = [&](shunt::rank_id joining, std::span<shunt::rank_id const> dead) {
      return copy_state(joining, dead);
    };
    if (work_.validates())
      from.close = [&](std::span<shunt::rank_id const> lost) -> std::optional<shunt::program> {
        std::vector<shunt::rank_id> const without(lost.begin(), lost.end());
        if (stage_without_worker(job_without(without))) return std::nullopt;
        work_.fit(*plan_without(without).closing);
        return *plan_without(without).closing;
      };
    if (salvage_)
      from.salvage = [&](std::span<shunt::rank_id const> dead,
                         shunt::interrupted_iteration const& at) { return rest_without(dead, at); };
    return shunt::run_through_losses(executor, work_, from, plan, completed, transfer);
  }

 private:
  [[nodiscard]] shunt::pipeline_job job_without(std::vector<shunt::rank_id> const& dead) const {
    auto job = job_;
    job.dead.clear();
    for (auto const r : dead) job.dead.push_back(job.worker_of(r));
    return job;
  }

  /// What is left of an iteration, by what these ranks' peers have kept of it.
  std::optional<shunt::salvaged> rest_without(std::span<shunt::rank_id const> dead,
                                              shunt::interrupted_iteration const& at) {
    auto const& whole = plan_without({dead.begin(), dead.end()});
    kept_ = shunt::find_surviving_gradients(whole.job, at,
                                            at.rest ? kept_ : shunt::surviving_gradients{});
    auto rest = shunt::lower_salvageable(whole.job, whole.schedule, kept_, work_.tensors());
    work_.fit(rest);
    return shunt::salvaged{std::move(rest), shunt::terms_in(kept_),
                           std::int64_t{job_.workers()} * job_.microbatches};
  }

  /// A program that sends the state of a live peer to a worker that comes back; nothing where it
  /// has none.
  std::optional<shunt::program> copy_state(shunt::rank_id joining,
                                           std::span<shunt::rank_id const> dead) {
    auto const job = job_without({dead.begin(), dead.end()});
    auto const comes = job.worker_of(joining);
    auto const peers = job.live_peers(comes.stage);
    if (peers.empty()) return std::nullopt;
    work_.replace(joining, next_);
    if (!work_.validates()) return shunt::lower_join(job, {comes}, work_.tensors());
    std::vector<shunt::rank_id> rest(dead.begin(), dead.end());
    std::erase(rest, joining);
    auto const& next = plan_without(rest);
    work_.fit(*next.program);
    return shunt::validated_join(*next.program, joining);
  }

  shunt::pipeline_job const job_;
  shunt::slipstream const solver_;
  std::int64_t const end_;
  bool salvage_ = false;
  Work work_;
  std::map<std::vector<shunt::rank_id>, planned> plans_{};
  std::vector<trained_iteration> iterations_{};
  std::int64_t next_ = 0;              // the iteration that all live workers run next
  shunt::surviving_gradients kept_{};  // what the last rest of an iteration began with
};

using training_run = training_run_of<pipeline_training>;

/// What training comes to.
struct training_result {
  std::vector<double> losses{};                  ///< by iteration
  std::vector<std::vector<float>> parameters{};  ///< by stage
};

/// The same training without failures: other schedule (1F1B with fused backwards; all stages step
/// together), on the executor that is given.
template <class Work, class Executor>
[[nodiscard]] training_result train_undisturbed(pipeline_training::config const& training,
                                                Work& work, Executor const& executor) {
  auto const plan =
      plan_iteration(shunt::one_f_one_b{}, training.job, work.tensors(), training.validates());
  work.fit(*plan.program);
  auto session = executor.open(work);
  for (std::int64_t i = 0; i < training.iterations; ++i) session.submit(plan.program);
  static_cast<void>(session.wait());
  training_result all;
  for (std::int64_t i = 0; i < training.iterations; ++i) all.losses.push_back(work.loss(i));
  for (shunt::stage_id s : shunt::ids<shunt::stage_id>(training.job.stages)) {
    auto const values = work.parameters(training.job.rank_of({0, s}));
    all.parameters.emplace_back(values.begin(), values.end());
  }
  return all;
}

/// On one thread of the host.
[[nodiscard]] inline training_result train_undisturbed(pipeline_training::config training,
                                                       text_bytes const& bytes) {
  training.unit = std::chrono::nanoseconds{0};
  pipeline_training work(training, bytes);
  return train_undisturbed(training, work, shunt::inline_executor{});
}

}  // namespace example
