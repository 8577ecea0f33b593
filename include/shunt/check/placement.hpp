#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "shunt/core/config.hpp"
#include "shunt/core/id.hpp"
#include "shunt/plan/expert_placement.hpp"
#include "shunt/problem/expert_layers.hpp"

namespace shunt {

/// One error in an expert placement. Ids that a kind doesn't use are 0.
struct placement_violation {
  enum class kind : std::uint8_t {
    layer_count,   ///< of the plan
    expert_count,  ///< of the plan
    /// Slots of a rank, or of the whole table where `rank` is the number of ranks.
    slot_count,
    rank_count,      ///< of the plan
    unknown_expert,  ///< a slot holds an expert that doesn't exist
    no_replica,      ///< an expert has no slot in this layer
  };
  kind what{};
  layer_id layer{};
  rank_id rank{};
  slot_id slot{};
  expert_id expert{};
  std::int64_t found = 0;
  std::int64_t wanted = 0;

  bool operator==(placement_violation const&) const = default;
};

/// Returns one line that names the place, the error and the numbers.
[[nodiscard]] std::string to_string(placement_violation const& v);

/// Checks a placement: its shape, and in each layer that every slot holds an existing expert and
/// every expert has a slot.
/// Returns all errors, layer by layer, or those of the shape alone. Empty: the plan is valid.
[[nodiscard]] SHUNT_CONSTEXPR std::vector<placement_violation> check(expert_layers const& problem,
                                                                     expert_placement const& plan);

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/check/placement.ipp"
#endif
