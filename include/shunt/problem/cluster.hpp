#pragma once
#include <cstdint>
#include <limits>

#include "shunt/core/config.hpp"
#include "shunt/core/id.hpp"
#include "shunt/core/units.hpp"

namespace shunt {

/// A link in the alpha-beta model. A message of n bytes occupies it for n / bandwidth ticks and
/// arrives `latency` ticks later.
struct link_cost {
  static constexpr std::int64_t unlimited =
      std::numeric_limits<std::int64_t>::max();  ///< no cost per byte

  ticks latency = 0;
  std::int64_t bytes_per_tick = unlimited;

  /// Returns the ticks during which a message of `bytes` occupies the link, rounded up.
  [[nodiscard]] SHUNT_CONSTEXPR ticks occupancy(byte_count bytes) const;
  bool operator==(link_cost const&) const = default;
};

/// Ranks on nodes. Consecutive ranks share a node: ranks 0 .. ranks_per_node-1 are on node 0, and
/// so on. The last node may hold fewer.
struct cluster {
  std::int32_t ranks = 1;
  std::int32_t ranks_per_node = 1;
  link_cost within_node{};
  link_cost between_nodes{};

  [[nodiscard]] constexpr node_id node_of(rank_id r) const { return r.value() / ranks_per_node; }
  [[nodiscard]] SHUNT_CONSTEXPR link_cost const& between(rank_id a, rank_id b) const;
  bool operator==(cluster const&) const = default;
};

/// Throws invalid_problem where a size or a bandwidth is not positive, or a latency is negative.
SHUNT_CONSTEXPR void validate(cluster const& c);

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/problem/cluster.ipp"
#endif
