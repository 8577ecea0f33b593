#pragma once
#include <cstddef>
#include <cstdint>
#include <span>

#include "shunt/core/id.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/plan/expert_placement.hpp"

namespace shunt {

/// Returns how many experts ranks must newly receive in a layer to go from `before` (one entry per
/// slot) to the plan: the distinct (rank, expert) pairs of the plan that `before` lacks. Further
/// copies on the same rank cost nothing.
/// Complexity: O(slots + experts).
[[nodiscard]] constexpr std::int32_t moved_experts(std::span<expert_id const> before,
                                                   expert_placement const& plan, layer_id layer) {
  indexed<expert_id, std::int32_t> seen(static_cast<std::size_t>(plan.experts), -1);
  auto const slots = plan.layer(layer);
  std::int32_t moved = 0;
  for (std::int32_t r = 0; r < plan.ranks(); ++r) {
    auto const first = static_cast<std::size_t>(plan.first_slot[static_cast<std::size_t>(r)]);
    auto const last = static_cast<std::size_t>(plan.first_slot[static_cast<std::size_t>(r) + 1]);
    for (std::size_t s = first; s < last; ++s) seen[before[s]] = r;
    for (std::size_t s = first; s < last; ++s) {
      moved += seen[slots[s]] != r;
      seen[slots[s]] = r;
    }
  }
  return moved;
}

/// Returns the experts that each rank must newly receive when a layer goes from one placement to
/// another, as `moved_experts` counts them.
/// Requires placements of the same experts and ranks; their slots may differ.
/// Complexity: O(slots + experts).
[[nodiscard]] constexpr indexed<rank_id, std::int32_t> received_experts(
    expert_placement const& before, expert_placement const& after, layer_id layer) {
  indexed<rank_id, std::int32_t> received(static_cast<std::size_t>(after.ranks()));
  indexed<expert_id, std::int32_t> seen(static_cast<std::size_t>(after.experts),
                                        -1);  // the latest rank known to hold it
  auto const held = [layer](expert_placement const& plan, rank_id r) {
    auto const first = static_cast<std::size_t>(plan.first_slot[r.index()]);
    return plan.layer(layer).subspan(
        first, static_cast<std::size_t>(plan.first_slot[r.index() + 1]) - first);
  };
  for (rank_id r : ids<rank_id>(after.ranks())) {
    for (expert_id const e : held(before, r)) seen[e] = r.value();
    for (expert_id const e : held(after, r)) {
      received[r] += seen[e] != r.value();
      seen[e] = r.value();
    }
  }
  return received;
}

}  // namespace shunt
