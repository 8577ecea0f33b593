#pragma once
/// Training through losses under a policy that gives ranks other parts.
#include <algorithm>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "shunt/core/error.hpp"
#include "shunt/core/id.hpp"
#include "shunt/core/text.hpp"
#include "shunt/core/units.hpp"
#include "shunt/execute/recovery.hpp"
#include "shunt/measure/moved_bytes.hpp"
#include "shunt/problem/per_pipeline.hpp"
#include "shunt/program/program.hpp"
#include "shunt/program/timeline.hpp"
#include "shunt/train/arrangement.hpp"
#include "shunt/train/detail/arrangement_planner.hpp"
#include "shunt/train/detail/followed_paces.hpp"
#include "shunt/train/detail/next_part.hpp"
#include "shunt/train/pipeline_run.hpp"
#include "shunt/train/pipeline_training.hpp"
#include "shunt/train/planned_iteration.hpp"
#include "shunt/train/slow_watch.hpp"
#include "shunt/train/training_policy.hpp"
#include "shunt/train/watched_work.hpp"

namespace shunt {

/// A trainee whose ranks can get other stages between two iterations. pipeline_work is one.
template <class W>
concept rearrangeable_trainee =
    pipeline_trainee<W> &&
    requires(W& w, held_stages const& held, per_pipeline const& microbatches, std::int64_t i) {
      w.begin(held, microbatches);
      w.rearrange(held, microbatches, i);
      w.keep_checkpoint(i);
      w.return_to_checkpoint();
    };

/// The run of a policy. After a loss the policy gives the live ranks other parts, the states of
/// stages go where they are needed, and training goes on. Until all states have arrived, every rank
/// keeps what it had; a loss on the way starts the transition again from there.
///
/// A policy with checkpoints goes back to the last one instead: each rank keeps in its own memory a
/// copy of the states that it held, so a checkpoint is lost with the last of a stage's holders.
template <rearrangeable_trainee Work, training_policy Policy>
class pipeline_run<Work, Policy> {
 public:
  /// The work outlives the run.
  /// Throws invalid_problem where steps are validated, checkpoints have a negative distance or the
  /// policy's start is none of the job; and what the policy throws.
  explicit pipeline_run(Work& work, Policy policy = {})
      : work_(work),
        training_(work.training()),
        planner_(training_, std::move(policy)),
        every_(planner_.policy().every) {
    if (training_.validates())
      throw invalid_problem("policy", name() + " can't be together with validated steps (clip, "
                                               "inject-nan)");
    if (every_ < 0)
      throw invalid_problem("every", "must be at least 0, is " + std::to_string(every_));
    now_ = kept_ = start();
    work_.begin(stages_held(now_, training_.job.ranks()), now_.job.microbatches);
    plan_ = planned_for(now_);
  }

  /// From now on the run finds slow ranks by the times of its own operations
  /// (train/slow_watch.hpp). At each change a policy that follows paces is asked for the next
  /// arrangement; otherwise ranks keep their stages, and get fewer micro-batches where the policy's
  /// schedules give them fewer.
  /// Throws invalid_problem where the job's costs differ by worker or micro-batch, and as
  /// slow_watch does.
  void watch(slow_watch_config const& config = {})
    requires watchable<Work>
  {
    if (training_.job.uneven())
      throw invalid_problem("costs", "differ by worker or micro-batch: slow ranks are not found");
    paces_.watch(training_.job, config);
    plan_ = planned_for(now_);
  }

  /// Called when an iteration is complete; again where it is done again.
  std::function<void(trained_iteration const&)> on_iteration = [](auto const&) {};
  /// Called when ranks have other parts than before.
  std::function<void(rearrangement const&, planned_iteration const&)> on_change = [](auto&&...) {};
  /// Called before an iteration for which ranks keep their parts and have another plan.
  std::function<void(planned_iteration const&, std::int64_t)> on_plan = [](auto&&...) {};
  /// Called before an iteration where other ranks are slow than before.
  std::function<void(slow_verdicts const&, std::int64_t)> on_slow = [](auto&&...) {};

  [[nodiscard]] Work& work() { return work_; }
  /// Returns the iterations that this run has completed, each once.
  [[nodiscard]] std::vector<trained_iteration> const& iterations() const { return iterations_; }
  /// Returns the changes so far, in order.
  [[nodiscard]] std::vector<rearrangement> const& changes() const { return changes_; }
  /// Returns the plan that ranks follow.
  [[nodiscard]] planned_iteration const& plan() const { return plan_; }

  /// Returns their losses, in order.
  [[nodiscard]] std::vector<double> losses() const {
    std::vector<double> all;
    for (trained_iteration const& i : iterations_) all.push_back(i.loss);
    return all;
  }

  /// Returns the plan that a run follows after losses in one iteration after the other, each of
  /// these ranks, from the next iteration on.
  /// Throws invalid_problem where there is none.
  [[nodiscard]] planned_iteration plan_after(
      std::vector<std::vector<rank_id>> const& losses) const {
    return planned_for(planner_.after(start(), losses, paces_.verdicts()));
  }

  /// Trains all iterations, or those before the first that has no plan.
  /// Throws what run_through_losses and the policy throw; invalid_problem where the policy gives a
  /// dead rank a part, or changes stages or batch.
  template <class Executor>
  recovery_report operator()(Executor const& executor) {
    recovery from{.end = training_.iterations};
    for (worker const& w : training_.job.dead) from.dead.push_back(training_.job.rank_of(w));
    return (*this)(executor, std::move(from));
  }
  /// The same from iteration `from.first` on. `from.end` is that of the training.
  /// Throws invalid_problem where ranks are to join.
  template <class Executor>
  recovery_report operator()(Executor const& executor, recovery from) {
    if (!from.joins.empty())
      throw invalid_problem("joins", name() + " gives no rank its part back");
    from.transition = [&](std::span<rank_id const>) { return prepare(); };
    from.arrived = [&](program const& p, outcome const& o) { arrive(bytes_received(p, o.done)); };
    from.pause_before = [&](std::int64_t first) { return stop_ = stop_after(first, from.end); };
    from.salvage = nullptr;
    paces_.end_sessions(from);
    work_.fit(*plan_.iteration);
    recovery_report all;
    for (;;) {
      next_ = from.first;
      auto const plan = [&](std::span<rank_id const> dead) { return plan_without(dead); };
      auto const completed = [&](completed_iteration const& c) { complete(c); };
      append(all, run_through_losses(executor, work_, from, plan, completed));
      if (!goes_back_) break;
      go_back();
      from.first = next_ = kept_at_;
      from.dead = all.dead;
    }
    if (!all.stopped.empty() && !reason_.empty()) all.stopped += ": " + std::string(reason_.view());
    return all;
  }

 private:
  [[nodiscard]] std::string name() const { return std::string(planner_.policy().name); }
  [[nodiscard]] arrangement start() const {
    auto all = start_under(planner_.policy(), training_.job);
    validate(all, training_.job, {});
    return all;
  }
  // The iteration before which a session of `first` ends, of a run until `end`.
  [[nodiscard]] std::int64_t stop_after(std::int64_t first, std::int64_t end) const {
    if (now_.interim) return first + 1;
    if (every_ == 0) return end;
    return first + std::min(end - first, every_ - first % every_);
  }
  [[nodiscard]] planned_iteration planned_for(arrangement const& a) const {
    return planner_(a, paces_.verdicts(), work_.tensors());
  }
  // What runs of a plan, for which there is room afterwards: all live ranks tell their pace and
  // hear the verdicts, those that wait as well.
  [[nodiscard]] program fitting(planned_iteration const& plan, arrangement const& a) {
    auto const judge = a.members[a.job.live_holders(a.job.stages - 1).front().index()];
    auto p = paces_.told(*plan.iteration, judge,
                         waiting_ranks(stages_held(a, training_.job.ranks()), dead_));
    work_.fit(p);
    return p;
  }

  // An iteration without these ranks; nothing where there is no plan, or all go back first.
  std::optional<program> plan_without(std::span<rank_id const> dead) {
    next_part_.reset();
    reason_ = {};
    dead_.assign(dead.begin(), dead.end());
    if (paces_.take(next_)) on_slow(paces_.verdicts(), next_);
    bool const aged = paces_.aged(), whole = !has_lost(now_, dead),
               ended = began_ && next_ >= stop_;
    if (whole && !aged && !(now_.interim && ended)) return fitting(plan_, now_);
    if (began_ && !ended && !(whole && aged))
      interrupted_ = std::max(interrupted_.value_or(next_), next_);
    if (every_ > 0 && began_ && next_ > kept_at_) {
      goes_back_ = true;
      return std::nullopt;
    }
    bool const stay = whole && !now_.interim;
    if (stay && !follows_paces(planner_.policy())) return keep_parts();
    auto answer = planner_.next(now_, dead, paces_.verdicts());
    if (stay && !answer.has_plan()) return keep_parts();
    reason_ = answer.reason;
    if (!answer.has_plan()) return std::nullopt;
    detail::next_part part(now_, std::move(answer.plan), training_.job, dead,
                           work_.tensors().state);
    if (auto const lost = stage_without_holder(part.before, training_.job.stages)) {
      reason_ = planner_.without_state(*lost);
      return std::nullopt;
    }
    part.plan = planned_for(part.change.next);
    next_part_ = std::move(part);
    return fitting(next_part_->plan, next_part_->change.next);
  }

  // Other ranks are slow, and all keep their stages.
  program keep_parts() {
    paces_.keep();
    plan_ = planned_for(now_);
    on_plan(plan_, next_);
    return fitting(plan_, now_);
  }

  // What is to run before the next session.
  std::optional<program> prepare() {
    if (next_part_) {
      auto p = next_part_->moving(work_.tensors().state);
      if (p.instructions() > 0) {
        work_.fit(p);
        return p;
      }
      arrive(0);
    }
    if (every_ > 0 && (kept_at_ < 0 || next_ % every_ == 0)) {
      work_.keep_checkpoint(next_);
      kept_ = now_;
      kept_at_ = next_;
    }
    began_ = true;
    return std::nullopt;
  }

  void arrive(byte_count bytes) {
    auto part = std::move(*next_part_);
    next_part_.reset();
    work_.rearrange(part.after, part.change.next.job.microbatches, next_);
    now_ = part.change.next;
    plan_ = std::move(part.plan);
    paces_.keep();
    static_cast<void>(fitting(plan_, now_));
    part.change.iteration = next_;
    part.change.bytes = bytes;
    part.change.took = part.since.now();
    part.change.redone = interrupted_ ? *interrupted_ - next_ + 1 : 0;
    interrupted_.reset();
    began_ = false;
    changes_.push_back(std::move(part.change));
    on_change(changes_.back(), plan_);
  }

  void go_back() {
    goes_back_ = began_ = false;
    work_.return_to_checkpoint();
    now_ = kept_;
    std::erase_if(iterations_, [&](auto const& i) { return i.iteration >= kept_at_; });
  }

  void complete(completed_iteration const& c) {
    next_ = c.iteration + 1;
    iterations_.push_back({.iteration = c.iteration,
                           .loss = work_.loss(c.iteration),
                           .live = training_.job.ranks() - static_cast<std::int32_t>(c.dead.size()),
                           .planned = plan_.period,
                           .took = c.took});
    on_iteration(iterations_.back());
  }

  Work& work_;
  pipeline_training const training_;
  detail::arrangement_planner<Policy> planner_;
  std::int64_t const every_;
  detail::followed_paces<Work> paces_{work_};
  arrangement now_{};  // who has the state before iteration `next_`
  planned_iteration plan_{};
  std::optional<detail::next_part> next_part_{};
  std::vector<trained_iteration> iterations_{};
  std::vector<rearrangement> changes_{};
  std::int64_t next_ = 0;                      // the iteration that all ranks run next
  bool began_ = false;                         // a session, since the last change
  std::int64_t stop_ = 0;                      // the iteration before which it ends
  std::optional<std::int64_t> interrupted_{};  // the iteration that the last loss interrupted
  arrangement kept_{};                         // of the last checkpoint: `now_` once it is taken
  std::int64_t kept_at_ = -1;                  // none yet
  bool goes_back_ = false;
  std::vector<rank_id> dead_{};  // as known when the last plan was made
  text reason_{};
};

}  // namespace shunt
