#pragma once
/// Training through losses under a policy that gives ranks other parts.
#include <algorithm>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "shunt/core/error.hpp"
#include "shunt/core/id.hpp"
#include "shunt/core/text.hpp"
#include "shunt/core/units.hpp"
#include "shunt/execute/recovery.hpp"
#include "shunt/execute/recovery/survivors.hpp"
#include "shunt/measure/moved_bytes.hpp"
#include "shunt/problem/per_pipeline.hpp"
#include "shunt/program/program.hpp"
#include "shunt/program/timeline.hpp"
#include "shunt/train/arrangement.hpp"
#include "shunt/train/detail/arranged_plan.hpp"
#include "shunt/train/detail/followed_paces.hpp"
#include "shunt/train/detail/next_part.hpp"
#include "shunt/train/pipeline_run.hpp"
#include "shunt/train/pipeline_training.hpp"
#include "shunt/train/planned_iteration.hpp"
#include "shunt/train/training_policy.hpp"

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
      : work_(work), training_(work.training()), policy_(std::move(policy)), every_(policy_.every) {
    if (training_.validates())
      throw invalid_problem("policy", name() + " can't be together with validated steps (clip, "
                                               "inject-nan)");
    if (every_ < 0)
      throw invalid_problem("every", "must be at least 0, is " + std::to_string(every_));
    now_ = kept_ = start();
    work_.begin(stages_held(now_, training_.job.ranks()), now_.job.microbatches);
    plan_ = planned_for(now_);
  }

  /// From now on the run finds slow ranks (slow_watch) and gives them fewer micro-batches where the
  /// policy's schedules do. No rank gets other stages for it.
  /// Throws as slow_watch does.
  void watch(slow_watch_config const& config = {})
    requires watchable<Work>
  {
    paces_.watch(training_.job, config);
    plan_ = planned_for(now_);
  }

  /// Called when an iteration is complete; again where it is done again.
  std::function<void(trained_iteration const&)> on_iteration = [](auto const&) {};
  /// Called when ranks have other parts than before.
  std::function<void(rearrangement const&, planned_iteration const&)> on_change = [](auto&&...) {};
  /// Called before an iteration for which ranks keep their parts and have another plan.
  std::function<void(planned_iteration const&, std::int64_t)> on_plan = [](auto&&...) {};
  /// Called before `on_plan` or `on_change` where the plan is for other factors.
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
    auto now = start();
    std::vector<rank_id> dead;
    auto const go_on = [&] {
      auto next = policy_(situation{training_.job, now, dead});
      if (!next.has_plan()) throw invalid_problem("plan", next.reason);
      if (auto const s = stage_without_holder(stages_held(now, training_.job.ranks(), dead),
                                              training_.job.stages))
        throw invalid_problem("plan", without_state(*s));
      now = std::move(next.plan);
      validate(now, training_.job, dead);
    };
    for (auto const& lost : losses) {
      detail::add_dead(dead, lost);
      if (has_lost(now, dead)) go_on();
      if (now.interim) go_on();
    }
    return planned_for(now);
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
  [[nodiscard]] std::string name() const {
    std::string_view const own = policy_.name;
    return std::string(own);
  }
  [[nodiscard]] arrangement start() const {
    auto all = start_under(policy_, training_.job);
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
    auto plan = renumbered(
        detail::arranged_plan(policy_, a, paces_.verdicts(), work_.tensors(), training_.rollback),
        a.members, training_.job.ranks());
    paces_.tell_in(plan, a.members[a.job.live_holders(a.job.stages - 1).front().index()]);
    return plan;
  }

  [[nodiscard]] text without_state(stage_id s) const {
    return text("no live rank has ") + (every_ > 0 ? "the checkpoint" : "the state") +
           " of stage " + text::of(s.value());
  }

  // An iteration without these ranks; nothing where there is no plan, or all go back first.
  std::optional<program> plan_without(std::span<rank_id const> dead) {
    next_part_.reset();
    reason_ = {};
    bool const whole = !has_lost(now_, dead), ended = began_ && next_ >= stop_;
    bool const paces_differ = paces_.take(next_);
    if (paces_differ) on_slow(paces_.verdicts(), next_);
    if (whole && !(now_.interim && ended)) {
      if (paces_differ) {
        plan_ = planned_for(now_);
        work_.fit(*plan_.iteration);
        on_plan(plan_, next_);
      }
      return *plan_.iteration;
    }
    if (began_ && !ended) interrupted_ = std::max(interrupted_.value_or(next_), next_);
    if (every_ > 0 && began_ && next_ > kept_at_) {
      goes_back_ = true;
      return std::nullopt;
    }
    auto answer = policy_(situation{training_.job, now_, dead});
    reason_ = answer.reason;
    if (!answer.has_plan()) return std::nullopt;
    detail::next_part part(now_, std::move(answer.plan), training_.job, dead,
                           work_.tensors().state);
    if (auto const lost = stage_without_holder(part.before, training_.job.stages)) {
      reason_ = without_state(*lost);
      return std::nullopt;
    }
    part.plan = planned_for(part.change.next);
    next_part_ = std::move(part);
    work_.fit(*next_part_->plan.iteration);
    return *next_part_->plan.iteration;
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
    work_.fit(*part.plan.iteration);
    now_ = part.change.next;
    plan_ = std::move(part.plan);
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
  Policy const policy_;
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
  text reason_{};
};

}  // namespace shunt
