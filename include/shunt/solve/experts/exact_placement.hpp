#pragma once
#include <cstdint>
#include <string_view>

#include "shunt/core/solution.hpp"
#include "shunt/plan/expert_placement.hpp"
#include "shunt/problem/expert_layers.hpp"
#include "shunt/solve/solver.hpp"

namespace shunt {

/// Finds and proves the least max/mean load of small layers: branch and bound over replica counts
/// and placements (detail::exact_layer has the rules), those with two replicas of an expert on a
/// rank included. Groups and nodes are ignored. Starts from the placement of `balanced`.
/// If `effort` runs out in a layer, the status is limit_reached and `reason` names the layer.
/// `plan` is then the best placement known, valid and no worse than that of `balanced`;
/// `lower_bound` holds for every placement. Infeasible: fewer slots than experts. Throws what
/// validate throws. Complexity: exponential; for up to about 16 slots.
struct exact_placement {
  static constexpr std::string_view name = "exact_placement";

  std::int64_t effort = 50'000'000;  ///< Nodes per layer, some nanoseconds each.

  [[nodiscard]] solution<expert_placement> operator()(expert_layers const& problem) const;
};
static_assert(solver_for<exact_placement, expert_layers>);

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/solve/experts/exact_placement.ipp"
#endif
