#pragma once
#include <cstdint>
#include <limits>
#include <span>
#include <string_view>
#include <vector>

#include "shunt/core/config.hpp"
#include "shunt/core/id.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/core/solution.hpp"
#include "shunt/plan/expert_placement.hpp"
#include "shunt/plan/layer_slots.hpp"
#include "shunt/problem/expert_layers.hpp"
#include "shunt/solve/solver.hpp"

namespace shunt {

namespace detail {

/// Chooses slots per layer by a dynamic program. tokens[l][k]: the cost of layer l with k slots
/// beyond one per expert, or `unknown`.
/// Returns the additional slots of each layer with the least sum of costs and at most `spare` slots
/// in all; of equal sums one with the fewest slots.
/// Requires that an answer exists.
/// Complexity: O(spare x entries).
inline constexpr std::int64_t unknown = std::numeric_limits<std::int64_t>::max();
[[nodiscard]] SHUNT_CONSTEXPR std::vector<std::int64_t> least_sum(
    std::vector<std::vector<std::int64_t>> const& tokens, std::int64_t spare);

/// Returns E + more[l] slots of each layer dealt to ranks, layer by layer in proportion to the rest
/// of their memory.
[[nodiscard]] SHUNT_CONSTEXPR layer_slots deal_layers(std::int32_t experts,
                                                      std::vector<std::int64_t> left,
                                                      std::span<std::int64_t const> more);

}  // namespace detail

/// Divides the memory of the ranks among the layers: given M_r slots of rank r for all layers
/// together, chooses S_l slots for each layer, with sum at most the sum of M_r, such that the sum
/// over layers of the fullest rank's tokens is least. Layers run one after another, and each waits
/// for its fullest rank.
/// A layer needs at least fullest_rank_bounds b_l(S_l) tokens, a falling staircase that is not
/// convex; a dynamic program over its steps is exact. Remaining slots go one by one to the layer
/// with the largest share w_e / c_e. Ranks then get their part of each S_l in proportion to the
/// rest of their memory.
/// Objective: the sum of b_l(S_l), in tokens; no slots within the budget have a lower one. The plan
/// contains slots alone; `place_layers` asks a solver for the placements. The previous placement is
/// ignored. Infeasible: fewer slots than experts x layers.
/// See docs/expert-solvers.md.
/// Throws what validate throws; invalid_problem("memory") if it has not one number per rank, from
/// 0, with a sum of at most 31 bits; invalid_problem("loads") if the layers sum beyond 63 bits.
/// Complexity: O(layers^2 x L^2) at most for L live ranks.
/// Reference: CRAFT, arXiv 2603.28768; Graham 1969.
struct slot_budget {
  static constexpr std::string_view name = "slot_budget";

  /// M_r, slots of each rank for all layers together; empty: slots_per_rank times the layers.
  std::vector<std::int32_t> memory{};

  [[nodiscard]] SHUNT_CONSTEXPR solution<layer_slots> operator()(
      expert_layers const& problem) const;

  /// Returns M_r.
  /// Throws invalid_problem("memory").
  [[nodiscard]] SHUNT_CONSTEXPR std::vector<std::int64_t> slots_of_ranks(
      expert_layers const& problem) const;

 private:
  static constexpr std::int64_t most_slots = (std::int64_t{1} << 31) - 1;

  /// Gives `rest` slots to the layers with the largest shares, while an expert has fewer replicas
  /// than there are ranks.
  static SHUNT_CONSTEXPR void give_the_rest(expert_layers const& problem, std::int32_t live,
                                            std::int64_t rest, std::vector<std::int64_t>& more);
};
static_assert(solver_for<slot_budget, expert_layers>);

/// Places each layer with a solver in the slots that it was dealt.
/// Returns the solver's answers, infeasible ones included.
/// Throws what the solver throws.
template <solver_for<expert_layers> Solver>
[[nodiscard]] SHUNT_CONSTEXPR std::vector<solution<expert_placement>> place_layers(
    expert_layers const& problem, layer_slots const& dealt, Solver const& solver) {
  std::vector<solution<expert_placement>> placed;
  for (layer_id l : ids<layer_id>(problem.layers))
    placed.push_back(solver(layer_of(problem, dealt, l)));
  return placed;
}

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/solve/experts/slot_budget.ipp"
#endif
