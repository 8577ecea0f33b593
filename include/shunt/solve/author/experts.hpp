#pragma once
#include "shunt/core/config.hpp"
#include "shunt/core/solution.hpp"
#include "shunt/plan/expert_placement.hpp"
#include "shunt/problem/expert_layers.hpp"

namespace shunt {

/// Returns an empty answer for the problem. If it has fewer slots than experts: status infeasible
/// with a reason. Otherwise: status feasible and a plan of the right shape whose slots all hold
/// expert 0.
[[nodiscard]] SHUNT_CONSTEXPR solution<expert_placement> unplaced(expert_layers const& problem);

/// Evaluates a placement. It is infeasible where it is not one of the layers, or an expert has no
/// slot (plan/mismatch.hpp).
/// Returns it with objective mean_max_over_mean and as lower bound the mean of max_over_mean_bound
/// over the layers. If the two differ by rounding alone (1e-12 of the bound), the status is
/// optimal.
/// Complexity: O(layers x (slots + (slots - experts) log experts)).
[[nodiscard]] SHUNT_CONSTEXPR solution<expert_placement> evaluated(expert_layers const& problem,
                                                                   expert_placement plan);

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/solve/author/experts.ipp"
#endif
