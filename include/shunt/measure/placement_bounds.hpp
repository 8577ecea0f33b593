#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "shunt/core/config.hpp"
#include "shunt/core/id.hpp"
#include "shunt/problem/expert_layers.hpp"

namespace shunt {

/// Returns a lower bound of max_over_mean for every placement of a layer: the least t >= 1 for
/// which counts c_e >= 1 with sum S exist such that w_e / min(c_e, L) <= t W / L. S slots lie on L
/// live ranks, W is the sum of the loads w. Returns 1 if there are no tokens or fewer slots than
/// experts.
/// An expert with c replicas, split evenly, lies on d <= min(c, L) ranks, and the fullest of those
/// has at least w / d of it; so no rank load is below max w_e / min(c_e, L). Giving the next
/// replica to the largest w / c minimises that maximum (EPLB's rule); if the rule would exceed L
/// copies, w / L is the largest of all and is the bound.
/// Complexity: O(E) if t = 1 holds, otherwise O((S - E) log E).
[[nodiscard]] SHUNT_CONSTEXPR double max_over_mean_bound(std::span<std::int64_t const> loads,
                                                         std::int32_t slots, std::int32_t live);

/// Returns the bound in whole tokens for every number of slots from E to `most` (at least E): entry
/// k, for E + k slots, is max(ceil(W / L), min max ceil(w_e / c_e)). Entries do not increase; after
/// the last one more slots do not lower the bound. At most L + 1 entries; one entry, W, if `live`
/// is 0.
/// Complexity: O(E log E).
[[nodiscard]] SHUNT_CONSTEXPR std::vector<std::int64_t> fullest_rank_bounds(
    std::span<std::int64_t const> loads, std::int64_t most, std::int32_t live);

/// Returns the bound for a layer of a problem; ranks without slots are dead and are not counted.
[[nodiscard]] SHUNT_CONSTEXPR double max_over_mean_bound(expert_layers const& problem,
                                                         layer_id layer);

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/measure/placement_bounds.ipp"
#endif
