#pragma once
#include <cstdint>
#include <vector>

#include "shunt/core/config.hpp"
#include "shunt/core/id.hpp"
#include "shunt/plan/expert_placement.hpp"
#include "shunt/problem/expert_layers.hpp"

namespace shunt {

/// Returns the home node of each group of experts in a layer: the node with the most slots of the
/// group, ties to the lowest.
/// Throws std::invalid_argument without groups, and where the placement is not one of the layers
/// (plan/mismatch.hpp).
[[nodiscard]] SHUNT_CONSTEXPR std::vector<node_id> group_homes(expert_layers const& problem,
                                                               expert_placement const& placement,
                                                               layer_id layer);

/// Returns the slots of a layer that hold an expert away from its group's home: the price that
/// group-limited routing pays for a better balance. 0 for one node or without groups.
/// Throws std::invalid_argument where the placement is not one of the layers.
/// Complexity: O(slots + groups x nodes).
[[nodiscard]] SHUNT_CONSTEXPR std::int32_t spilled_replicas(expert_layers const& problem,
                                                            expert_placement const& placement,
                                                            layer_id layer);

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/measure/spilled_replicas.ipp"
#endif
