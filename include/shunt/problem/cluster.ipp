#pragma once
#include "shunt/problem/cluster.hpp"

#include <string>

#include "shunt/core/error.hpp"

namespace shunt {

SHUNT_CONSTEXPR ticks link::occupancy(byte_count bytes) const {
  return bytes_per_tick == unlimited ? 0 : ceil_divide(bytes, bytes_per_tick);
}

SHUNT_CONSTEXPR link const& cluster::between(rank_id a, rank_id b) const {
  return node_of(a) == node_of(b) ? within_node : between_nodes;
}

SHUNT_CONSTEXPR void validate(cluster const& c) {
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
