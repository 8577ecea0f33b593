#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "shunt/core/id.hpp"

namespace shunt {

/// The expert that each slot holds, layer by layer. Slots are numbered rank by rank over all ranks.
struct expert_placement {
  std::int32_t layers = 0;
  std::int32_t experts = 0;
  /// ranks + 1 entries: slots first_slot[r] .. first_slot[r+1]-1 belong to rank r.
  std::vector<std::int32_t> first_slot{0};
  std::vector<expert_id> expert_of{};  ///< layers x slots, row-major

  [[nodiscard]] constexpr std::int32_t ranks() const {
    return static_cast<std::int32_t>(first_slot.size()) - 1;
  }
  [[nodiscard]] constexpr std::int32_t slots() const { return first_slot.back(); }
  [[nodiscard]] constexpr std::span<expert_id const> layer(layer_id l) const {
    auto const width = static_cast<std::size_t>(slots());
    return std::span(expert_of).subspan(l.index() * width, width);
  }
  [[nodiscard]] constexpr std::span<expert_id> layer(layer_id l) {
    auto const width = static_cast<std::size_t>(slots());
    return std::span(expert_of).subspan(l.index() * width, width);
  }
  /// Returns the rank that owns a slot.
  /// Complexity: O(log ranks).
  [[nodiscard]] constexpr rank_id rank_of(slot_id s) const {
    return std::upper_bound(first_slot.begin(), first_slot.end(), s.value()) - first_slot.begin() -
           1;
  }

  constexpr bool operator==(expert_placement const&) const = default;
};

}  // namespace shunt
