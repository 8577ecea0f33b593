#pragma once
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "shunt/core/config.hpp"
#include "shunt/core/id.hpp"
#include "shunt/core/solution.hpp"
#include "shunt/plan/expert_placement.hpp"
#include "shunt/problem/expert_layers.hpp"
#include "shunt/solve/solver.hpp"

namespace shunt {
namespace detail {
class flexmoe_layer;
}

/// FlexMoE: adjusts the previous placement (`uniform` if there is none) step by step while max/mean
/// load is above `trigger` and the cost model predicts a gain.
/// A step either gives a slot of a cold expert to the hottest expert (expand and shrink) or swaps
/// two slots (migrate). T is the maximum over ranks of tokens + sync_cost x experts that the rank
/// shares with others. A step must lower T or the number of ranks that take T. The step with the
/// least T x horizon + move_cost x newly received experts is made, ties to the first. Steps that
/// the fall of T over the horizon does not pay for are undone at the end. Other slots keep their
/// expert. After a loss or a join the previous placement is first completed, as by `elastic`.
/// Objective: max/mean load. Infeasible: fewer slots than experts.
/// See docs/expert-solvers.md.
/// Throws what validate throws, and invalid_problem that names a setting out of range.
/// Complexity: O(S (S + E)) per step for each slot of the slowest ranks and of the expert that
/// shrinks.
/// Reference: Nie et al., FlexMoE, SIGMOD 2023, arXiv 2304.03946.
struct flexmoe {
  static constexpr std::string_view name = "flexmoe";

  double trigger = 1.2;     ///< Max/mean load above which a layer is adjusted.
  std::int32_t steps = 10;  ///< Most steps per layer.
  /// Tokens that a rank could compute while it synchronises the gradient of one replicated expert.
  std::int64_t sync_cost = 0;
  /// Tokens that a rank could compute while it receives weights and optimizer state of one expert.
  std::int64_t move_cost = 0;
  /// Iterations over which a move pays back, at most 4096; SYMI found 50 to 100 between
  /// re-placements.
  std::int32_t horizon = 50;

  [[nodiscard]] SHUNT_CONSTEXPR solution<expert_placement> operator()(
      expert_layers const& problem) const;

 private:
  struct change;
  struct costs;

  SHUNT_CONSTEXPR void offer(detail::flexmoe_layer& layer, costs const& c, change step,
                             change& best) const;

  SHUNT_CONSTEXPR void adjust(detail::flexmoe_layer& layer) const;

  SHUNT_CONSTEXPR void expand_and_shrink(detail::flexmoe_layer& layer, costs const& c,
                                         change& best) const;

  SHUNT_CONSTEXPR void migrate(detail::flexmoe_layer& layer, costs const& c, change& best) const;
};
static_assert(solver_for<flexmoe, expert_layers>);

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/solve/experts/flexmoe.ipp"
#endif
