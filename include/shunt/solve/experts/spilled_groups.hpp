#pragma once
#include <cstdint>
#include <string_view>

#include "shunt/core/config.hpp"
#include "shunt/core/solution.hpp"
#include "shunt/plan/expert_placement.hpp"
#include "shunt/problem/expert_layers.hpp"
#include "shunt/solve/experts/balanced.hpp"
#include "shunt/solve/solver.hpp"

namespace shunt {

/// Keeps each group of experts on one node, but lets a few replicas of a hot group spill over to
/// other nodes: at most `limit` slots of a layer, as spilled_replicas counts them, beyond those of
/// `first`. Whole groups cannot be packed better than the node with the most tokens allows (the
/// floor of EPLB's hierarchical policy); spilling goes below that floor. Never worse than `first`.
/// Starts from `first` and makes changes that relieve the fullest rank: a slot given to another
/// expert or two slots swapped, such that no rank becomes fuller than that one, no expert is on a
/// rank twice, and the sum of squared rank loads falls most. Changes that spill nothing are made
/// first; one more replica spills if there is none of these. If the placement of `first` without
/// groups spills no more than the limit, the better one is the answer. Without groups or with one
/// node the answer is that of `first`. Infeasible as `first`.
/// Ends after some 2^31 visits of a (slot, rank) pair, which layers of more than 10^5 experts on
/// 1,000 ranks reach at once: they get the better of the two placements of `first`.
/// Throws what validate and `first` throw, and invalid_problem("limit") if it is below 0.
/// Complexity: O(S s R + s E R) per change for S slots on R ranks of s, some S changes.
struct spilled_groups {
  static constexpr std::string_view name = "spilled_groups";

  /// Replicas of a layer away from their group's node, beyond those of `first`; 0: as `first`.
  std::int32_t limit = 8;
  balanced first{};

  [[nodiscard]] SHUNT_CONSTEXPR solution<expert_placement> operator()(
      expert_layers const& problem) const;

 private:
  static constexpr std::int64_t most_visits = std::int64_t{1} << 31;

  /// Returns the visits of one change if ranks have about as many slots each.
  static SHUNT_CONSTEXPR std::int64_t visits_of_a_change(expert_layers const& problem);

  class layer_state;
};
static_assert(solver_for<spilled_groups, expert_layers>);

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/solve/experts/spilled_groups.ipp"
#endif
