#pragma once
#include <algorithm>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "shunt/core/error.hpp"
#include "shunt/core/id.hpp"
#include "shunt/core/solution.hpp"
#include "shunt/core/text.hpp"
#include "shunt/core/units.hpp"
#include "shunt/execute/recovery/survivors.hpp"
#include "shunt/lower/pace.hpp"
#include "shunt/lower/pipeline_buffers.hpp"
#include "shunt/program/program.hpp"
#include "shunt/train/arrangement.hpp"
#include "shunt/train/detail/arranged_plan.hpp"
#include "shunt/train/pipeline_training.hpp"
#include "shunt/train/planned_iteration.hpp"
#include "shunt/train/slow_watch.hpp"
#include "shunt/train/training_policy.hpp"

namespace shunt::detail {

/// The iterations of a policy's arrangements, and what a run knows of slow ranks.
template <training_policy Policy>
class arrangement_planner {
 public:
  arrangement_planner(pipeline_training training, Policy policy)
      : training_(std::move(training)), policy_(std::move(policy)) {}

  [[nodiscard]] Policy const& policy() const { return policy_; }

  /// From now on iterations find slow ranks. The watch outlives this.
  /// Throws invalid_problem where the job's costs differ by worker or micro-batch.
  void watch(slow_watch const& by) {
    if (training_.job.uneven())
      throw invalid_problem("costs", "differ by worker or micro-batch: slow ranks are not found");
    watch_ = &by;
    latest_ = kept_ = slow_verdicts(static_cast<std::size_t>(training_.job.ranks()));
  }
  [[nodiscard]] bool watches() const { return watch_ != nullptr; }
  /// Returns whether all is planned by what ranks know before this iteration.
  [[nodiscard]] bool serves(std::int64_t next) const {
    return watch_ == nullptr || same_factors(watch_->before(next), latest_);
  }
  /// Plans from now on by what all ranks know before this iteration. Calls `changed(verdicts)`
  /// where that is new. Returns whether the plan that was kept is by something else.
  template <class F>
  bool take_verdicts(std::int64_t next, F const& changed) {
    if (watch_ == nullptr) return false;
    auto const before = std::exchange(latest_, watch_->before(next));
    if (!same_factors(before, latest_)) changed(latest_);
    return !same_factors(kept_, latest_);
  }
  /// The run keeps the plan that was made last.
  void keep() { kept_ = latest_; }

  /// Returns what the policy does next.
  [[nodiscard]] solution<arrangement> next(arrangement const& now,
                                           std::span<rank_id const> dead) const {
    return policy_(situation{training_.job, now, dead, latest_.items()});
  }
  /// Returns why there is no next arrangement without a live holder of a stage.
  [[nodiscard]] text without_state(stage_id s) const {
    return text("no live rank has ") + (policy_.every > 0 ? "the checkpoint" : "the state") +
           " of stage " + text::of(s.value());
  }
  /// Returns the arrangement after losses in one iteration after the other.
  /// Throws invalid_problem where there is none.
  [[nodiscard]] arrangement after(arrangement now,
                                  std::vector<std::vector<rank_id>> const& losses) const {
    std::vector<rank_id> dead;
    auto const go_on = [&] {
      auto following = next(now, dead);
      if (!following.has_plan()) throw invalid_problem("plan", following.reason);
      if (auto const s = stage_without_holder(stages_held(now, training_.job.ranks(), dead),
                                              training_.job.stages))
        throw invalid_problem("plan", without_state(*s));
      now = std::move(following.plan);
      validate(now, training_.job, dead);
    };
    for (auto const& lost : losses) {
      add_dead(dead, lost);
      if (has_lost(now, dead)) go_on();
      if (now.interim) go_on();
    }
    return now;
  }
  /// Returns an iteration of the run's ranks. Its period counts slow ranks at their pace.
  /// Throws invalid_problem where the policy has none.
  [[nodiscard]] planned_iteration operator()(arrangement const& a,
                                             pipeline_tensors const& tensors) const {
    return renumbered(arranged_plan(policy_, a, latest_, tensors, training_.rollback), a.members,
                      training_.job.ranks());
  }
  /// Returns what runs of such a plan: where ranks are watched, all live ones tell their pace and
  /// hear the verdicts, those that wait as well.
  [[nodiscard]] program running(planned_iteration const& plan, arrangement const& a,
                                std::span<rank_id const> dead) const {
    if (watch_ == nullptr) return *plan.iteration;
    auto const judge = a.members[a.job.rank_of({0, a.job.stages - 1}).index()];
    return with_pace(*plan.iteration, judge, watch_->sizes(),
                     waiting_ranks(stages_held(a, training_.job.ranks()), dead));
  }

 private:
  pipeline_training const training_;
  Policy const policy_;
  slow_watch const* watch_ = nullptr;
  slow_verdicts latest_{}, kept_{};  // empty: none watches
};

}  // namespace shunt::detail
