#pragma once
#include <cstdint>
#include <span>

#include "shunt/core/config.hpp"
#include "shunt/core/id.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/plan/expert_placement.hpp"

namespace shunt {

/// Returns how many experts ranks must newly receive in a layer to go from `before` (one entry per
/// slot) to the plan: the distinct (rank, expert) pairs of the plan that `before` lacks. Further
/// copies on the same rank cost nothing.
/// Complexity: O(slots + experts).
[[nodiscard]] SHUNT_CONSTEXPR std::int32_t moved_experts(std::span<expert_id const> before,
                                                         expert_placement const& plan,
                                                         layer_id layer);

/// Returns the experts that each rank must newly receive when a layer goes from one placement to
/// another, as `moved_experts` counts them.
/// Requires placements of the same experts and ranks; their slots may differ.
/// Complexity: O(slots + experts).
[[nodiscard]] SHUNT_CONSTEXPR indexed<rank_id, std::int32_t> received_experts(
    expert_placement const& before, expert_placement const& after, layer_id layer);

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/measure/moved_experts.ipp"
#endif
