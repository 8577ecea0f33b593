#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "shunt/core/config.hpp"
#include "shunt/core/id.hpp"

namespace shunt {

/// The expert that each slot holds, layer by layer. Slots are numbered rank by rank over all ranks.
struct expert_placement {
  std::int32_t layers = 0;
  std::int32_t experts = 0;
  /// ranks + 1 entries: slots first_slot[r] .. first_slot[r+1]-1 belong to rank r.
  std::vector<std::int32_t> first_slot{0};
  std::vector<expert_id> expert_of{};  ///< layers x slots, row-major

  [[nodiscard]] SHUNT_CONSTEXPR std::int32_t ranks() const;
  [[nodiscard]] constexpr std::int32_t slots() const { return first_slot.back(); }
  [[nodiscard]] SHUNT_CONSTEXPR std::span<expert_id const> layer(layer_id l) const;
  [[nodiscard]] SHUNT_CONSTEXPR std::span<expert_id> layer(layer_id l);
  /// Returns the rank that owns a slot.
  /// Complexity: O(log ranks).
  [[nodiscard]] SHUNT_CONSTEXPR rank_id rank_of(slot_id s) const;

  bool operator==(expert_placement const&) const = default;
};

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/plan/expert_placement.ipp"
#endif
