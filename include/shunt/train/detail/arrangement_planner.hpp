#pragma once
#include <span>
#include <utility>
#include <vector>

#include "shunt/core/error.hpp"
#include "shunt/core/id.hpp"
#include "shunt/core/solution.hpp"
#include "shunt/core/text.hpp"
#include "shunt/execute/recovery/survivors.hpp"
#include "shunt/lower/pipeline_buffers.hpp"
#include "shunt/train/arrangement.hpp"
#include "shunt/train/detail/arranged_plan.hpp"
#include "shunt/train/pipeline_training.hpp"
#include "shunt/train/planned_iteration.hpp"
#include "shunt/train/slow_watch.hpp"
#include "shunt/train/training_policy.hpp"

namespace shunt::detail {

/// The iterations of a policy's arrangements. Verdicts are by rank of the run; none: nothing
/// watches.
template <training_policy Policy>
class arrangement_planner {
 public:
  arrangement_planner(pipeline_training training, Policy policy)
      : training_(std::move(training)), policy_(std::move(policy)) {}

  [[nodiscard]] Policy const& policy() const { return policy_; }

  /// Returns what the policy does next.
  [[nodiscard]] solution<arrangement> next(arrangement const& now, std::span<rank_id const> dead,
                                           slow_verdicts const& paces) const {
    return policy_(situation{training_.job, now, dead, paces.items()});
  }
  /// Returns why there is no next arrangement without a live holder of a stage.
  [[nodiscard]] text without_state(stage_id s) const {
    return text("no live rank has ") + (policy_.every > 0 ? "the checkpoint" : "the state") +
           " of stage " + text::of(s.value());
  }
  /// Returns the arrangement after losses in one iteration after the other.
  /// Throws invalid_problem where there is none.
  [[nodiscard]] arrangement after(arrangement now, std::vector<std::vector<rank_id>> const& losses,
                                  slow_verdicts const& paces) const {
    std::vector<rank_id> dead;
    auto const go_on = [&] {
      auto following = next(now, dead, paces);
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
  [[nodiscard]] planned_iteration operator()(arrangement const& a, slow_verdicts const& paces,
                                             pipeline_tensors const& tensors) const {
    return renumbered(arranged_plan(policy_, a, paces, tensors, training_.rollback), a.members,
                      training_.job.ranks());
  }

 private:
  pipeline_training const training_;
  Policy const policy_;
};

}  // namespace shunt::detail
