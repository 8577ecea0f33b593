#pragma once
#include "shunt/measure/moved_experts.hpp"

#include <cstddef>

namespace shunt {

SHUNT_CONSTEXPR std::int32_t moved_experts(std::span<expert_id const> before,
                                           expert_placement const& plan, layer_id layer) {
  indexed<expert_id, std::int32_t> seen(static_cast<std::size_t>(plan.experts), -1);
  auto const slots = plan.layer(layer);
  std::int32_t moved = 0;
  for (std::int32_t r = 0; r < plan.ranks(); ++r) {
    auto const first = static_cast<std::size_t>(plan.first_slot[static_cast<std::size_t>(r)]);
    auto const last = static_cast<std::size_t>(plan.first_slot[static_cast<std::size_t>(r) + 1]);
    for (std::size_t s = first; s < last; ++s)
      if (before[s] != expert_id{-1}) seen[before[s]] = r;
    for (std::size_t s = first; s < last; ++s) {
      moved += seen[slots[s]] != r;
      seen[slots[s]] = r;
    }
  }
  return moved;
}

SHUNT_CONSTEXPR indexed<rank_id, std::int32_t> received_experts(expert_placement const& before,
                                                                expert_placement const& after,
                                                                layer_id layer) {
  indexed<rank_id, std::int32_t> received(static_cast<std::size_t>(after.ranks()));
  indexed<expert_id, std::int32_t> seen(static_cast<std::size_t>(after.experts),
                                        -1);  // the latest rank known to hold it
  auto const held = [layer](expert_placement const& plan, rank_id r) {
    auto const first = static_cast<std::size_t>(plan.first_slot[r.index()]);
    return plan.layer(layer).subspan(
        first, static_cast<std::size_t>(plan.first_slot[r.index() + 1]) - first);
  };
  for (rank_id r : ids<rank_id>(after.ranks())) {
    for (expert_id const e : held(before, r))
      if (e != expert_id{-1}) seen[e] = r.value();
    for (expert_id const e : held(after, r)) {
      received[r] += seen[e] != r.value();
      seen[e] = r.value();
    }
  }
  return received;
}

}  // namespace shunt
