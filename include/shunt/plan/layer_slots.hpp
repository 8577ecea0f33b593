#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "shunt/core/config.hpp"
#include "shunt/core/id.hpp"
#include "shunt/problem/expert_layers.hpp"

namespace shunt {

/// Division of each rank's slots over the layers.
struct layer_slots {
  std::int32_t ranks = 0;
  std::vector<std::int32_t> slots{};  ///< layers x ranks

  [[nodiscard]] SHUNT_CONSTEXPR std::int32_t layers() const;
  [[nodiscard]] SHUNT_CONSTEXPR std::span<std::int32_t const> layer(layer_id l) const;
  /// Returns the slots of a layer on all ranks.
  [[nodiscard]] SHUNT_CONSTEXPR std::int32_t of(layer_id l) const;
  bool operator==(layer_slots const&) const = default;
};

/// Returns one layer of a problem, with the same slots and without the previous placement.
[[nodiscard]] SHUNT_CONSTEXPR expert_layers layer_of(expert_layers const& problem, layer_id l);

/// Returns one layer of a problem with the slots that `dealt` gives it, for solvers of
/// expert_layers.
[[nodiscard]] SHUNT_CONSTEXPR expert_layers layer_of(expert_layers const& problem,
                                                     layer_slots const& dealt, layer_id l);

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/plan/layer_slots.ipp"
#endif
