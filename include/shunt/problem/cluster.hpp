#pragma once
#include <cstdint>
#include <limits>
#include <string>

#include "shunt/core/error.hpp"
#include "shunt/core/id.hpp"
#include "shunt/core/units.hpp"

namespace shunt {

/// A link in the alpha-beta model. A message of n bytes occupies it for n / bandwidth ticks and
/// arrives `latency` ticks later.
struct link {
  static constexpr std::int64_t unlimited =
      std::numeric_limits<std::int64_t>::max();  ///< no cost per byte

  ticks latency = 0;
  std::int64_t bytes_per_tick = unlimited;

  /// Returns the ticks during which a message of `bytes` occupies the link, rounded up.
  [[nodiscard]] constexpr ticks occupancy(byte_count bytes) const {
    return bytes_per_tick == unlimited ? 0 : ceil_divide(bytes, bytes_per_tick);
  }
  constexpr bool operator==(link const&) const = default;
};

/// Ranks on nodes. Consecutive ranks share a node: ranks 0 .. ranks_per_node-1 are on node 0, and
/// so on. The last node may hold fewer.
struct cluster {
  std::int32_t ranks = 1;
  std::int32_t ranks_per_node = 1;
  link within_node{};
  link between_nodes{};

  [[nodiscard]] constexpr node_id node_of(rank_id r) const { return r.value() / ranks_per_node; }
  [[nodiscard]] constexpr link const& between(rank_id a, rank_id b) const {
    return node_of(a) == node_of(b) ? within_node : between_nodes;
  }
  constexpr bool operator==(cluster const&) const = default;
};

/// Throws invalid_problem where a size or a bandwidth is not positive, or a latency is negative.
constexpr void validate(cluster const& c) {
  if (c.ranks < 1)
    throw invalid_problem("ranks", "must be at least 1, is " + std::to_string(c.ranks));
  if (c.ranks_per_node < 1)
    throw invalid_problem("ranks_per_node",
                          "must be at least 1, is " + std::to_string(c.ranks_per_node));
  auto const check = [](char const* field, link const& l) {
    if (l.latency < 0)
      throw invalid_problem(std::string(field) + ".latency",
                            "must be at least 0, is " + std::to_string(l.latency));
    if (l.bytes_per_tick < 1)
      throw invalid_problem(std::string(field) + ".bytes_per_tick",
                            "must be at least 1, is " + std::to_string(l.bytes_per_tick));
  };
  check("within_node", c.within_node);
  check("between_nodes", c.between_nodes);
}

}  // namespace shunt
