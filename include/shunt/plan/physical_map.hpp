#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "shunt/core/config.hpp"
#include "shunt/plan/expert_placement.hpp"

namespace shunt {

/// A placement as the arrays that inference engines exchange: phy2log, log2phy and logcnt of EPLB,
/// vLLM, SGLang and TensorRT-LLM. A physical expert is a slot, counted over all ranks. A logical
/// expert is an expert of the layer.
struct physical_map {
  std::int32_t layers = 0, experts = 0, slots = 0;
  /// Most replicas of an expert in a layer: the last extent of logical_to_physical.
  std::int32_t most_replicas = 0;
  std::vector<std::int32_t> physical_to_logical{};  ///< layers x slots; -1: an empty slot
  /// layers x experts x most_replicas: slots, ascending, padded with -1.
  std::vector<std::int32_t> logical_to_physical{};
  std::vector<std::int32_t> replica_counts{};  ///< layers x experts

  bool operator==(physical_map const&) const = default;
};

/// Returns the arrays of a placement.
/// Requires that every slot holds an expert of the problem, or -1.
/// Complexity: O(layers x (slots + experts x most replicas)).
[[nodiscard]] SHUNT_CONSTEXPR physical_map physical_map_of(expert_placement const& plan);

/// Returns the placement of a map on ranks with these slots. `physical_to_logical` determines it.
/// Each of the other arrays may be empty; otherwise it must agree, in any order of slots.
/// Throws invalid_problem, which names array, layer and place, where the number of slots differs,
/// an expert is unknown, an array has a wrong length, or replicas differ.
[[nodiscard]] SHUNT_CONSTEXPR expert_placement
placement_of(physical_map const& map, std::span<std::int32_t const> slots_per_rank);

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/plan/physical_map.ipp"
#endif
