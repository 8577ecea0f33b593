#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "shunt/core/config.hpp"
#include "shunt/core/id.hpp"
#include "shunt/core/solution.hpp"
#include "shunt/plan/expert_placement.hpp"
#include "shunt/problem/expert_layers.hpp"
#include "shunt/solve/solver.hpp"

namespace shunt {

/// Returns Lazarus' replica counts, which sum to `slots`. Experts in ascending order of load t_e,
/// ties by index, get r_e = max(floor(t_e / sum_{e' >= e} t_e' x slots left), f); the last one gets
/// the rest. If the floor f does not fit, it is slots / experts; without tokens slots are dealt
/// evenly.
/// Requires 1 <= experts <= slots, f >= 1 and (sum of loads) x slots < 2^62.
/// Complexity: O(E log E).
/// Reference: Lazarus, arXiv 2407.04656, section 4.1.
[[nodiscard]] SHUNT_CONSTEXPR std::vector<std::int32_t> lazarus_counts(
    std::span<std::int64_t const> loads, std::int32_t slots, std::int32_t floor);

/// Lazarus: replica counts by load with at least f of each expert (lazarus_counts), placed by
/// maximum rank overlap, which maximises the probability that every expert keeps an instance if
/// random ranks fail (`survival_chance` measures it).
/// Maximum rank overlap: experts in ascending order of replicas form groups of c neighbours, c the
/// slots of a rank; the r ranks of a group's first expert hold the whole group. The remaining
/// replicas fill the vacant slots, on ranks without that expert if possible. Three variants are
/// compared and the safest is taken. With a previous placement of the same shape, ranks of equal
/// slots are renamed greedily, largest overlap first, so that fewer experts move.
/// Objective: max/mean load. Infeasible: fewer slots than experts.
/// See docs/expert-solvers.md.
/// Throws what validate throws, and invalid_problem("floor") if it is below 1.
/// Complexity: O(E log E + S^2 / N + N S) per layer.
/// Reference: arXiv 2407.04656.
struct lazarus {
  static constexpr std::string_view name = "lazarus";

  std::int32_t floor = 2;  ///< f, the least replicas of an expert; the paper's evaluation uses 2.

  [[nodiscard]] SHUNT_CONSTEXPR solution<expert_placement> operator()(
      expert_layers const& problem) const;

 private:
  using rows = std::vector<std::vector<expert_id>>;  ///< experts of each rank
  enum class groups : std::uint8_t { short_last, short_first, none };

  static SHUNT_CONSTEXPR bool holds(std::vector<expert_id> const& row, expert_id e);

  static SHUNT_CONSTEXPR rows lay_out(expert_layers const& problem,
                                      std::span<std::size_t const> ranks,
                                      std::vector<std::int32_t> left, groups form);

  /// Returns whether `a` has a larger smallest host set than `b`, or as large a one and fewer of
  /// that size.
  static SHUNT_CONSTEXPR bool safer(rows const& a, rows const& b, std::int32_t experts);

  /// Gives rows to ranks of as many slots, the pair with the most common experts first (ties: the
  /// lowest rank, then the lowest row).
  static SHUNT_CONSTEXPR void keep_near(expert_layers const& problem, layer_id l, rows& held);
};
static_assert(solver_for<lazarus, expert_layers>);

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/solve/experts/lazarus.ipp"
#endif
