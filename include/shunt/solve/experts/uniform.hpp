#pragma once
#include <string_view>

#include "shunt/core/config.hpp"
#include "shunt/core/solution.hpp"
#include "shunt/plan/expert_placement.hpp"
#include "shunt/problem/expert_layers.hpp"
#include "shunt/solve/solver.hpp"

namespace shunt {

/// Static expert parallelism, the placement of DeepSpeed-MoE: slot k, counted over all ranks, holds
/// expert k mod E, independent of the loads.
/// If each of N ranks has s slots, s divides E and E/s divides N, this is DeepSpeed's rule:
/// consecutive ranks form groups of E/s, each group holds every expert once and in the same order,
/// and an expert's replicas are E/s ranks apart. In general every expert has floor(S/E) or
/// ceil(S/E) of the S slots, the first experts one more, and no rank holds an expert twice unless
/// it has more than E slots. Infeasible: fewer slots than experts.
/// Throws what validate throws.
/// Complexity: O(layers x S).
struct uniform {
  static constexpr std::string_view name = "uniform";

  [[nodiscard]] SHUNT_CONSTEXPR solution<expert_placement> operator()(
      expert_layers const& problem) const;
};
static_assert(solver_for<uniform, expert_layers>);

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/solve/experts/uniform.ipp"
#endif
