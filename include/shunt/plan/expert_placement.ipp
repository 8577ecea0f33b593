#pragma once
#include "shunt/plan/expert_placement.hpp"

#include <algorithm>
#include <cstddef>

namespace shunt {

SHUNT_CONSTEXPR std::int32_t expert_placement::ranks() const {
  return static_cast<std::int32_t>(first_slot.size()) - 1;
}

SHUNT_CONSTEXPR std::span<expert_id const> expert_placement::layer(layer_id l) const {
  auto const width = static_cast<std::size_t>(slots());
  return std::span(expert_of).subspan(l.index() * width, width);
}

SHUNT_CONSTEXPR std::span<expert_id> expert_placement::layer(layer_id l) {
  auto const width = static_cast<std::size_t>(slots());
  return std::span(expert_of).subspan(l.index() * width, width);
}

SHUNT_CONSTEXPR rank_id expert_placement::rank_of(slot_id s) const {
  return std::upper_bound(first_slot.begin(), first_slot.end(), s.value()) - first_slot.begin() - 1;
}

}  // namespace shunt
