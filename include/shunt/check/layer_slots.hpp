#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "shunt/core/config.hpp"
#include "shunt/core/id.hpp"
#include "shunt/plan/layer_slots.hpp"
#include "shunt/problem/expert_layers.hpp"

namespace shunt {

/// One error in the division of slots over layers. Ids that a kind doesn't use are 0.
struct layer_slots_violation {
  enum class kind : std::uint8_t {
    shape,        ///< number of ranks, or of values (layers x ranks)
    negative,     ///< slots of a rank for a layer
    too_few,      ///< slots of a layer, below its experts
    over_memory,  ///< slots of a rank for all layers
  };
  kind what{};
  layer_id layer{};
  rank_id rank{};
  std::int64_t found = 0;
  std::int64_t wanted = 0;

  bool operator==(layer_slots_violation const&) const = default;
};

/// Returns one line that names the place, the error and the numbers.
[[nodiscard]] std::string to_string(layer_slots_violation const& v);

/// Checks slots divided over layers. `memory` is the slots of each rank for all layers.
/// Returns all errors, layer by layer and then rank by rank, or the wrong shape alone. Empty: the
/// plan is valid.
[[nodiscard]] SHUNT_CONSTEXPR std::vector<layer_slots_violation> check(
    expert_layers const& problem, layer_slots const& plan, std::span<std::int64_t const> memory);

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/check/layer_slots.ipp"
#endif
