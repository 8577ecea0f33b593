#pragma once
#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "shunt/core/error.hpp"
#include "shunt/core/id.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/core/units.hpp"
#include "shunt/execute/recovery.hpp"
#include "shunt/execute/work.hpp"
#include "shunt/lower/pipeline_buffers.hpp"
#include "shunt/lower/pipeline_join.hpp"
#include "shunt/lower/salvage.hpp"
#include "shunt/lower/validated_join.hpp"
#include "shunt/plan/surviving_gradients.hpp"
#include "shunt/problem/pipeline_job.hpp"
#include "shunt/program/interrupted.hpp"
#include "shunt/program/program.hpp"
#include "shunt/solve/pipeline/one_f_one_b.hpp"
#include "shunt/solve/pipeline/slipstream.hpp"
#include "shunt/train/detail/followed_paces.hpp"
#include "shunt/train/pipeline_training.hpp"
#include "shunt/train/planned_iteration.hpp"
#include "shunt/train/slow_watch.hpp"
#include "shunt/train/watched_work.hpp"

namespace shunt {

/// What pipeline_run asks of a work, beside what its executor asks. pipeline_work is one.
template <class W>
concept pipeline_trainee = restorable<W> && requires(W& w, W const& constant, program const& p,
                                                     rank_id r, std::int64_t iteration) {
  { constant.training() } -> std::convertible_to<pipeline_training const&>;
  { constant.tensors() } -> std::same_as<pipeline_tensors>;
  w.fit(p);
  w.replace(r, iteration);
  { w.loss(iteration) } -> std::convertible_to<double>;
};

/// A completed iteration.
struct trained_iteration {
  std::int64_t iteration = 0;
  double loss = 0;              ///< NaN where this process doesn't know it
  std::int32_t live = 0;        ///< ranks
  ticks planned = 0;            ///< the plan's period
  std::optional<ticks> took{};  ///< nanoseconds since the iteration before; unknown after a start
};

/// SlipStream: training through lost ranks. It plans an iteration for the ranks that are alive,
/// runs it through the recovery driver (execute/recovery.hpp), and plans again after a loss or a
/// join. Plans are kept by the set of dead ranks. A training_policy in place of the solver gives
/// ranks other stages instead (train/policy_run.hpp).
///
/// Reference: SlipStream (arXiv 2405.14009).
template <pipeline_trainee Work, class Solver = slipstream>
class pipeline_run {
 public:
  /// The work outlives the run.
  explicit pipeline_run(Work& work, Solver solver = {})
      : work_(work), training_(work.training()), solver_(std::move(solver)) {}

  /// From now on a loss costs only what is missing of the iteration (lower/salvage.hpp).
  /// Throws invalid_problem where steps are validated.
  void salvage() {
    if (training_.validates())
      throw invalid_problem("salvage",
                            "steps that are validated (clip, inject-nan) can't be salvaged");
    form_ = iteration_form::salvageable;
  }

  /// From now on the run finds slow ranks by the times of its own operations and plans anew for
  /// each change, in proportion (train/slow_watch.hpp). A join forgets who is slow.
  /// Throws as slow_watch does.
  void watch(slow_watch_config const& config = {})
    requires watchable<Work>
  {
    paces_.watch(training_.job, config);
    plans_.clear();
  }

  /// Called when an iteration is complete.
  std::function<void(trained_iteration const&)> on_iteration = [](auto const&) {};
  /// Called before an iteration that other ranks take part in than in the one before.
  std::function<void(planned_iteration const&, std::int64_t)> on_plan = [](auto const&,
                                                                           std::int64_t) {};
  /// Called before `on_plan` where the plan is for other factors than the one before.
  std::function<void(slow_verdicts const&, std::int64_t)> on_slow = [](auto const&, std::int64_t) {
  };

  [[nodiscard]] Work& work() { return work_; }
  /// Returns the iterations that this run has completed.
  [[nodiscard]] std::vector<trained_iteration> const& iterations() const { return iterations_; }

  /// Returns their losses, in order.
  [[nodiscard]] std::vector<double> losses() const {
    std::vector<double> all;
    for (trained_iteration const& i : iterations_) all.push_back(i.loss);
    return all;
  }

  /// Returns the plan for a set of dead ranks, ascending, and those that are slow now.
  /// Throws invalid_problem where there is none.
  [[nodiscard]] planned_iteration const& plan_without(std::vector<rank_id> const& dead) {
    auto const job = job_without(dead);
    auto const& paces = paces_.verdicts();
    std::vector<std::int64_t> factors;
    for (rank_id const r : ids<rank_id>(paces.size()))
      factors.push_back(job.alive(r) ? paces[r].sixteenths : slow_verdict::normal);
    bool const alike = std::all_of(factors.begin(), factors.end(),
                                   [](auto f) { return f == slow_verdict::normal; });
    if (alike) factors.clear();
    auto const key = std::pair(dead, factors);
    if (auto const known = plans_.find(key); known != plans_.end()) return known->second;
    auto plan = plan_iteration(solver_, alike ? job : in_sixteenths(job, paces), work_.tensors(),
                               form_, training_.rollback);
    if (!alike) plan.count_in(slow_verdict::normal);
    if (!stage_without_worker(job)) paces_.tell_in(plan, job.live_holders(job.stages - 1).front());
    return plans_.emplace(key, std::move(plan)).first->second;
  }

  /// Trains all iterations, or those before the first that has no plan. Ranks of `joins` come back
  /// with a copy of a live peer's state.
  /// Throws what run_through_losses throws.
  template <class Executor>
  recovery_report operator()(Executor const& executor, std::vector<join> joins = {}) {
    std::vector<rank_id> dead;
    for (worker const& w : training_.job.dead) dead.push_back(training_.job.rank_of(w));
    return (*this)(
        executor,
        {.end = training_.iterations, .dead = std::move(dead), .joins = std::move(joins)});
  }
  /// The same from iteration `from.first` on, for a process that joins. `from.end` is that of the
  /// training.
  template <class Executor>
  recovery_report operator()(Executor const& executor, recovery from) {
    next_ = from.first;
    paces_.end_sessions(from);
    auto const plan = [&](std::span<rank_id const> dead) {
      if (paces_.take(next_)) on_slow(paces_.verdicts(), next_);
      return program_without(dead, [&](planned_iteration const& p) {
        on_plan(p, next_);
        return *p.iteration;
      });
    };
    auto const completed = [&](completed_iteration const& c) {
      next_ = c.iteration + 1;
      iterations_.push_back(
          {.iteration = c.iteration,
           .loss = work_.loss(c.iteration),
           .live = training_.job.ranks() - static_cast<std::int32_t>(c.dead.size()),
           .planned = plan_without({c.dead.begin(), c.dead.end()}).period,
           .took = c.took});
      on_iteration(iterations_.back());
    };
    auto const transfer = [&](rank_id joining, std::span<rank_id const> dead) {
      return copy_state(joining, dead);
    };
    if (form_ == iteration_form::validated)
      from.close = [&](std::span<rank_id const> dead) {
        return program_without(dead, [](planned_iteration const& p) { return *p.closing; });
      };
    if (form_ == iteration_form::salvageable)
      from.salvage = [&](std::span<rank_id const> dead, interrupted_iteration const& at) {
        return std::optional<salvaged>(rest_without(dead, at));
      };
    return run_through_losses(executor, work_, from, plan, completed, transfer);
  }

 private:
  [[nodiscard]] pipeline_job job_without(std::span<rank_id const> dead) const {
    auto job = training_.job;
    job.dead.clear();
    for (rank_id const r : dead) job.dead.push_back(job.worker_of(r));
    return job;
  }

  // A program of the plan without these ranks, for which there is room afterwards; nothing where a
  // stage has no rank.
  template <class Which>
  [[nodiscard]] std::optional<program> program_without(std::span<rank_id const> dead,
                                                       Which const& which) {
    if (stage_without_worker(job_without(dead))) return std::nullopt;
    program p = which(plan_without({dead.begin(), dead.end()}));
    work_.fit(p);
    return p;
  }

  // What is left of an iteration, by what the peers of these ranks have kept of it.
  salvaged rest_without(std::span<rank_id const> dead, interrupted_iteration const& at) {
    auto const& whole = plan_without({dead.begin(), dead.end()});
    kept_ = find_surviving_gradients(whole.job, at, at.rest ? kept_ : surviving_gradients{});
    auto rest = lower_salvageable(whole.job, whole.schedule, kept_, work_.tensors());
    work_.fit(rest);
    return {std::move(rest), terms_in(kept_), static_cast<std::int64_t>(whole.job.cells())};
  }

  // A program that sends a live peer's state to a rank that comes back; nothing where it has none.
  std::optional<program> copy_state(rank_id joining, std::span<rank_id const> dead) {
    auto const job = job_without(dead);
    for (stage_id const s : job.stages_of(joining))
      if (job.live_holders(s).empty()) return std::nullopt;
    work_.replace(joining, next_);
    paces_.forget();
    if (paces_.take(next_)) on_slow(paces_.verdicts(), next_);
    if (form_ != iteration_form::validated)
      return lower_join(job, {job.worker_of(joining)}, work_.tensors());
    std::vector<rank_id> rest(dead.begin(), dead.end());
    std::erase(rest, joining);
    auto const& next = plan_without(rest);
    work_.fit(*next.iteration);
    return validated_join(*next.iteration, joining);
  }

  Work& work_;
  pipeline_training const training_;
  Solver const solver_;
  detail::followed_paces<Work> paces_{work_};
  iteration_form form_ = training_.validates() ? iteration_form::validated : iteration_form::plain;
  // by the dead and the sixteenths of all ranks, none where none is slow
  std::map<std::pair<std::vector<rank_id>, std::vector<std::int64_t>>, planned_iteration> plans_{};
  std::vector<trained_iteration> iterations_{};
  std::int64_t next_ = 0;       // the iteration that all live ranks run next
  surviving_gradients kept_{};  // what the last rest of an iteration began with
};

/// Trains all iterations without failures, under another schedule: 1F1B with fused backwards, all
/// stages step together. With int64 gradients a pipeline_run ends with the same bits.
/// Throws invalid_problem and invalid_program as plan_iteration does, and what the executor throws.
/// Returns the losses by iteration.
template <pipeline_trainee Work, class Executor>
std::vector<double> train_without_failures(Work& work, Executor const& executor) {
  auto const& training = work.training();
  auto job = training.job;
  job.dead.clear();
  auto const form = training.validates() ? iteration_form::validated : iteration_form::plain;
  auto const plan = plan_iteration(one_f_one_b{}, job, work.tensors(), form, training.rollback);
  work.fit(*plan.iteration);
  auto session = executor.open(work);
  for (std::int64_t i = 0; i < training.iterations; ++i) session.submit(plan.iteration);
  static_cast<void>(session.wait());
  std::vector<double> losses;
  for (std::int64_t i = 0; i < training.iterations; ++i) losses.push_back(work.loss(i));
  return losses;
}

}  // namespace shunt
