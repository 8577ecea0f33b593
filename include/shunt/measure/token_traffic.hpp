#pragma once
#include <cstdint>

#include "shunt/core/config.hpp"
#include "shunt/core/id.hpp"
#include "shunt/plan/expert_placement.hpp"
#include "shunt/plan/token_split.hpp"
#include "shunt/problem/expert_layers.hpp"

namespace shunt {

/// Numbers of tokens of a layer by the distance between the rank that routed them and the rank that
/// computes them. In a forward pass each remote token crosses the network twice, there and back,
/// with the bytes of its activations.
struct token_traffic {
  std::int64_t local = 0;          ///< on the routing rank
  std::int64_t within_nodes = 0;   ///< on another rank of the same node
  std::int64_t between_nodes = 0;  ///< on another node
  /// By one rank to others: with most_received the critical path of an all-to-all.
  std::int64_t most_sent = 0;
  std::int64_t most_received = 0;  ///< by one rank from others

  /// Returns the tokens computed on another rank than their own.
  [[nodiscard]] constexpr std::int64_t remote() const { return within_nodes + between_nodes; }
  bool operator==(token_traffic const&) const = default;
};

/// Returns the traffic of a split of the tokens over the placement's slots. Dropped tokens are not
/// counted. `ranks_per_node` as in expert_layers.
/// Throws std::invalid_argument unless both have the same ranks and slots.
/// Complexity: O(sources x slots).
[[nodiscard]] SHUNT_CONSTEXPR token_traffic traffic_of(token_split const& split,
                                                       expert_placement const& placement,
                                                       std::int32_t ranks_per_node);

/// Returns the tokens of a layer that stay on their rank if every expert's w tokens are split
/// evenly over its r slots (w / r each, one more for the first w mod r) and a rank's tokens go to
/// its own slots first, as capacity_split does if nothing is dropped.
/// Throws std::invalid_argument without `sources`, and where the placement is not one of the layers
/// (plan/mismatch.hpp).
/// Complexity: O(ranks x experts + slots).
[[nodiscard]] SHUNT_CONSTEXPR std::int64_t local_tokens(expert_layers const& problem,
                                                        expert_placement const& placement,
                                                        layer_id layer);

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/measure/token_traffic.ipp"
#endif
