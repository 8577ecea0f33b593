#pragma once
/// Solvers that cut every expert's optimizer state into shards and give the shards to ranks: over
/// all ranks (uniform_shards), with mirrors (mirrored_shards), within a node (hierarchical_shards)
/// or over the expert's hosts (replica_shards).
/// E experts of `elements` elements each lie on N ranks. Objective of all four: the most bytes of
/// optimizer state on a rank, mirrors included. Lower bound: an even share of all bytes.
/// Shards of at least 64 times 16 bytes of weights begin at multiples of 16 bytes, which device
/// code loads at once; below, `unit` is this many elements, and one element for smaller shards. See
/// docs/expert-solvers.md.
#include <cstdint>
#include <string_view>

#include "shunt/core/config.hpp"
#include "shunt/core/id.hpp"
#include "shunt/core/solution.hpp"
#include "shunt/plan/expert_placement.hpp"
#include "shunt/plan/shard_map.hpp"
#include "shunt/problem/optimizer_state.hpp"
#include "shunt/solve/solver.hpp"

namespace shunt {

/// Cuts every expert's optimizer state into N shards; rank k owns shard k of every expert for good.
/// Experts may then move between slots while their optimizer state stays.
/// If N does not divide the elements, the ranks take turns to own a unit more. With units of one
/// element no rank owns more than one element above another, which is optimal. If an expert has
/// fewer elements than ranks, some ranks own no shard of it.
/// Throws what validate throws.
/// Complexity: O(E N).
/// Reference: SYMI, arXiv 2504.19925, section 4.1.
struct uniform_shards {
  static constexpr std::string_view name = "uniform_shards";

  [[nodiscard]] SHUNT_CONSTEXPR solution<shard_map> operator()(
      optimizer_state const& problem) const;
};
static_assert(solver_for<uniform_shards, optimizer_state>);

/// Holds every shard of uniform_shards on r ranks, so that the loss of r - 1 ranks loses no state:
/// rank k's shard is mirrored on the ranks k + 1 .. k + r - 1, cyclically. More ranks may fail as
/// long as no r neighbours do. `restore_shards` then shifts ownership along the chain, so that the
/// survivors share the work of a failed rank evenly.
/// Memory: r E O / N bytes per rank for O bytes of state per expert. Gradients go to all r holders,
/// r s N G bytes; weights go out from owners alone, s N W bytes. Infeasible if there are fewer
/// ranks than copies.
/// Throws invalid_problem if the problem is broken or `copies` is below 1.
/// Complexity: O(r E N).
/// Reference: chained declustering, Hsiao and DeWitt, ICDE 1990.
struct mirrored_shards {
  static constexpr std::string_view name = "mirrored_shards";

  std::int32_t copies = 2;  ///< r, including the owner's copy

  [[nodiscard]] SHUNT_CONSTEXPR solution<shard_map> operator()(
      optimizer_state const& problem) const;
};
static_assert(solver_for<mirrored_shards, optimizer_state>);

/// Keeps each expert's state on the ranks of one node; experts go to the node with the least state
/// per rank, ties to the first. Nodes are consecutive ranks; the last node may be smaller. Always
/// feasible.
/// On G nodes a shard is G times as large as in uniform_shards, so that weights and gradients
/// travel in G times fewer, larger messages. Memory equals that of uniform_shards if the nodes
/// share the experts evenly.
/// Throws invalid_problem if the problem is broken or `ranks_per_node` is below 1.
/// Complexity: O(E (G + ranks of a node)).
/// Reference: MiCS, Zhang et al., VLDB 2022, which does this with model states.
struct hierarchical_shards {
  static constexpr std::string_view name = "hierarchical_shards";

  std::int32_t ranks_per_node = 8;

  [[nodiscard]] SHUNT_CONSTEXPR solution<shard_map> operator()(
      optimizer_state const& problem) const;
};
static_assert(solver_for<hierarchical_shards, optimizer_state>);

/// Cuts an expert's state evenly over the ranks that host it: ZeRO-1 within the replicas of an
/// expert, as DeepSpeed-MoE keeps it. The baseline of SwiftMoE's static shards: state moves when
/// the hosts change, and ranks hold unequal amounts, for a rare expert lies whole on one rank.
/// Always feasible.
/// Throws invalid_problem if the problem is broken, the placement has other ranks or experts, or an
/// expert has no slot.
/// Complexity: O(slots + shards).
/// Reference: Rajbhandari et al., DeepSpeed-MoE, ICML 2022; ZeRO, SC 2020.
struct replica_shards {
  static constexpr std::string_view name = "replica_shards";

  expert_placement placement{};  ///< Every expert needs a slot.
  layer_id layer{0};

  [[nodiscard]] SHUNT_CONSTEXPR solution<shard_map> operator()(
      optimizer_state const& problem) const;
};
static_assert(solver_for<replica_shards, optimizer_state>);

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/solve/shards/cut_shards.ipp"
#endif
