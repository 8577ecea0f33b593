#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

#include "shunt/core/config.hpp"

namespace shunt::detail {

/// Dependency graph whose nodes can be merged. Merged nodes complete together, once every
/// predecessor of each has completed (both ends of an unbuffered message, members of a collective).
/// Complexity: O(nodes + edges).
class event_graph {
 public:
  constexpr explicit event_graph(std::size_t things)
      : joined_(things, unjoined), first_(things + 2, 0), done_(things, 0) {}

  /// Adds an edge in two passes: announce all edges with `count`, call `counted()`, then insert all
  /// with `wait`. `later` completes after `earlier`.
  constexpr void count(std::size_t earlier) { ++first_[earlier + 2]; }
  SHUNT_CONSTEXPR void counted();
  constexpr void wait(std::size_t earlier, std::size_t later) {
    later_[first_[earlier + 1]++] = later;
    ++waits_[later];
  }
  /// Merges the cyclic lists of a and b.
  /// Requires that they are in different lists.
  SHUNT_CONSTEXPR void join(std::size_t a, std::size_t b);

  /// Completes nodes in topological order. Nodes on a cycle stay incomplete.
  SHUNT_CONSTEXPR void run();
  [[nodiscard]] constexpr bool happened(std::size_t i) const { return done_[i] != 0; }

 private:
  static constexpr std::size_t unjoined = static_cast<std::size_t>(-1);

  [[nodiscard]] constexpr bool can_happen(std::size_t i) const;
  constexpr void happen(std::size_t i, std::vector<std::size_t>& able);

  std::vector<std::size_t> joined_;  // cyclic lists of merged nodes
  // The nodes later than node i are later_[first_[i]] up to later_[first_[i + 1]]. Until all edges
  // are inserted, first_[i + 1] is the place of the next one of i.
  std::vector<std::size_t> first_, later_{};
  std::vector<std::int32_t> waits_{};
  std::vector<std::uint8_t> done_;
};

}  // namespace shunt::detail

#ifndef SHUNT_COMPILED
#include "shunt/check/detail/event_graph.ipp"
#endif
