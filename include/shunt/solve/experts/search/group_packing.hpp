#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "shunt/core/config.hpp"
#include "shunt/core/id.hpp"
#include "shunt/problem/expert_layers.hpp"

namespace shunt::detail {

/// Packs whole groups of experts on nodes: the first step of EPLB's hierarchical policy. Groups in
/// descending order of load (ties: the lowest index) go each to the node with the least load (ties:
/// the lowest) among the nodes that hold fewer than ceil(groups / nodes) groups and have slots for
/// all experts of the group.
/// Allocates when it is constructed, not when it is called.
/// Complexity: O(groups (log groups + nodes)) per layer.
class group_packing {
 public:
  SHUNT_CONSTEXPR explicit group_packing(expert_layers const& problem);

  /// Returns the node of each group, or nothing if a group finds no node with enough slots.
  SHUNT_CONSTEXPR std::span<std::size_t const> operator()(std::span<std::int64_t const> loads);

  [[nodiscard]] constexpr std::size_t group_of(expert_id e) const { return group_of_[e.index()]; }
  [[nodiscard]] constexpr std::span<std::int64_t const> group_loads() const { return group_load_; }
  [[nodiscard]] constexpr std::span<std::int32_t const> sizes() const { return sizes_; }
  /// Returns the slots of each node.
  [[nodiscard]] constexpr std::span<std::int32_t const> slots() const { return slots_; }

 private:
  std::size_t nodes_;
  std::vector<std::int32_t> sizes_;
  std::vector<std::size_t> order_, group_of_;
  std::vector<std::int64_t> group_load_, load_;
  std::vector<std::size_t> held_;
  std::vector<std::int32_t> experts_, slots_;
  std::vector<std::size_t> node_of_;
};

}  // namespace shunt::detail

#ifndef SHUNT_COMPILED
#include "shunt/solve/experts/search/group_packing.ipp"
#endif
