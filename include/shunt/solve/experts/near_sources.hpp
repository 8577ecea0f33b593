#pragma once
#include <string_view>

#include "shunt/core/config.hpp"
#include "shunt/core/solution.hpp"
#include "shunt/plan/expert_placement.hpp"
#include "shunt/problem/expert_layers.hpp"
#include "shunt/solve/solver.hpp"

namespace shunt {

/// Deals the rows of a placement (the slots of one rank each) to the ranks such that the most
/// tokens find their expert on the rank that routed them, given `sources` of the problem, an even
/// split over replicas and local tokens first. The balance stays the same, and local_tokens of a
/// layer never falls. Among the dealings of rank_relabelling it is the best up to the tokens that
/// do not divide over an expert's replicas. Experts that share a rank keep sharing one. The
/// previous placement is ignored; `keep_ranks` considers it and undoes this improver. Without
/// sources nothing changes.
/// Throws what validate throws.
/// Requires a plan that check accepts.
/// Complexity: O(N^2 s + N^3) per layer for N ranks of s slots.
struct near_sources {
  static constexpr std::string_view name = "near_sources";
  static constexpr bool improves = true;

  [[nodiscard]] SHUNT_CONSTEXPR solution<expert_placement> operator()(
      expert_layers const& problem, expert_placement const& plan) const;
};
static_assert(improver_for<near_sources, expert_layers, expert_placement>);

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/solve/experts/near_sources.ipp"
#endif
