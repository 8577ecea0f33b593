#pragma once
#include <cstddef>
#include <cstdint>
#include <span>

#include "shunt/core/id.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/plan/expert_placement.hpp"

namespace shunt {

/// `moved_experts` by rank: how many distinct experts each rank must newly receive when a layer
/// goes from one placement to another. Needs placements of the same experts and ranks; their slots
/// may differ. O(slots + experts).
[[nodiscard]] constexpr indexed<rank_id, std::int32_t> received_experts(
    expert_placement const& before, expert_placement const& after, layer_id layer) {
  indexed<rank_id, std::int32_t> received(static_cast<std::size_t>(after.ranks()));
  indexed<expert_id, std::int32_t> seen(static_cast<std::size_t>(after.experts),
                                        -1);  // the last rank known to hold it
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
