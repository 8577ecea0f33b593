#pragma once
#include "shunt/plan/expert_hosts.hpp"

#include <cstddef>

namespace shunt {

SHUNT_CONSTEXPR indexed<expert_id, std::vector<expert_host>> hosts_of(
    expert_placement const& placement, layer_id layer) {
  indexed<expert_id, std::vector<expert_host>> hosts(static_cast<std::size_t>(placement.experts));
  auto const slots = placement.layer(layer);
  for (rank_id r : ids<rank_id>(placement.ranks())) {
    std::int32_t const first = placement.first_slot[r.index()];
    for (std::int32_t s = first; s < placement.first_slot[r.index() + 1]; ++s) {
      auto& known = hosts[slots[static_cast<std::size_t>(s)]];
      if (known.empty() || known.back().rank != r) known.push_back({.rank = r, .slots = {}});
      known.back().slots.push_back(s - first);
    }
  }
  return hosts;
}

}  // namespace shunt
