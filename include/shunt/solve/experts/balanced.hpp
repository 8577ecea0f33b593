#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "shunt/core/config.hpp"
#include "shunt/core/error.hpp"
#include "shunt/core/id.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/core/solution.hpp"
#include "shunt/measure/imbalance.hpp"
#include "shunt/plan/expert_placement.hpp"
#include "shunt/problem/expert_layers.hpp"
#include "shunt/solve/anytime.hpp"
#include "shunt/solve/author/experts.hpp"
#include "shunt/solve/experts/eplb.hpp"

namespace shunt {
namespace detail {
class group_packing;
}

/// Searches replica counts and placement together for the least max/mean load. Each layer gets the
/// best of the search, `eplb` and `swift_moe`, so it is never worse than those; groups of experts
/// stay on one node, and then only `eplb` with `keep_groups` is compared. More effort is never
/// worse by more than the tolerance.
/// The search puts no expert on a rank twice; on up to 16 slots branch and bound comes first, which
/// may. Exceptions: a rank with more slots than there are
/// experts holds every expert, and copies of the one with the least load in its further slots; if
/// no counts fit unequal slots, the search has no placement. The other solvers repeat experts;
/// that may balance better: set `repeats` to false where no rank may hold
/// an expert twice. Dead ranks are left out.
/// Effort is counted in steps, not in time, so that every platform and every run finds the same
/// placement. With a stop_token the answer is the best so far: layers not reached are placed as by
/// the other solvers. Nodes of more than 2^27 pairs of an expert and a rank are
/// not searched. Infeasible: fewer slots than experts, or groups that no node has slots for.
/// See docs/expert-solvers.md.
/// Throws what validate throws, and invalid_problem if `effort` or `tolerance` is negative.
/// Complexity: `effort` steps per layer and node.
struct balanced {
  static constexpr std::string_view name = "balanced";

  /// Steps per layer, each a visit of a (rank, replica) pair; the default takes about a millisecond
  /// on one core of 2023.
  std::int64_t effort = 150'000;
  /// The search stops if max/mean is within this of the layer's lower bound; dispatch varies more.
  double tolerance = 1e-4;
  /// Of the walk over counts; another seed finds another, about equally good placement.
  std::uint64_t seed = 1;
  /// Whether a rank may hold an expert twice where that balances better. Without, the search's
  /// placement stands unless another one repeats no more and balances better.
  bool repeats = true;

  [[nodiscard]] SHUNT_CONSTEXPR solution<expert_placement> operator()(
      expert_layers const& problem) const;
  [[nodiscard]] solution<expert_placement> operator()(expert_layers const& problem,
                                                      std::stop_token const& stop) const;

 private:
  /// Up to so many slots of a node, half of the effort goes to branch and bound.
  static constexpr std::int32_t exact_slots = 16;

  /// Pairs of an expert and a rank of a node up to which it is searched, 128 MiB of them.
  static constexpr std::int64_t most_pairs = std::int64_t{1} << 27;

  struct node;

  constexpr solution<expert_placement> search(expert_layers const& problem,
                                              auto const& stopped) const;

  /// Returns the best placement of each layer by eplb and, without groups, swift_moe.
  SHUNT_CONSTEXPR solution<expert_placement> quick(expert_layers const& problem) const;

  /// Copies a layer of `tried` if it is better.
  SHUNT_CONSTEXPR void take_better(expert_layers const& problem, layer_id l,
                                   expert_placement const& tried, expert_placement& best) const;

  /// Swaps groups of equal size between the fullest node and another, best swap first, while the
  /// fuller of the two becomes less full.
  static SHUNT_CONSTEXPR void even_out(detail::group_packing const& packing,
                                       std::span<node const> nodes, std::span<std::size_t> node_of);

  /// Aims below `known`, the max/mean of the other solvers.
  SHUNT_CONSTEXPR bool place_layer(expert_layers const& problem, layer_id l, double known,
                                   std::span<detail::group_packing const> packing,
                                   std::span<std::size_t const> node_of, std::span<node> nodes,
                                   expert_placement& plan) const;

  /// `known` and `enough` are tokens of a rank.
  /// Returns whether a placement was found, and the tokens of the node's fullest rank.
  SHUNT_CONSTEXPR std::pair<bool, double> place_node(node& n, expert_placement& plan, layer_id l,
                                                     double known, double enough) const;
};
static_assert(anytime_solver_for<balanced, expert_layers>);

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/solve/experts/balanced.ipp"
#endif
