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

/// Returns the cost of sending an expert's weights to all ranks, in tokens that a rank could
/// receive and compute in that time. With H numbers per token, an expert of two H x alpha H
/// matrices and b bytes per number, broadcasting takes 2 alpha H^2 b / bandwidth, and a token 3 x 4
/// alpha H^2 / throughput (forward, and twice that backward) + 4 H b / bandwidth (there and back,
/// forward and backward). Bandwidth is in bytes per second, throughput in floating-point operations
/// per second.
/// Reference: FasterMoE, PPoPP 2022, section 4.2.
[[nodiscard]] SHUNT_CONSTEXPR double shadow_cost(double hidden, double alpha, double bytes,
                                                 double bandwidth, double throughput);

/// FasterMoE's dynamic shadowing: every expert has one home that never changes; the hottest experts
/// are sent to all ranks for one iteration if that pays.
/// Homes are dealt in the order of experts, evenly over live ranks as far as their slots go.
/// Shadows take a slot on every rank but the home. With k shadows a layer takes T(k) = max over
/// ranks of tokens + k x broadcast_cost, in tokens. Experts are added hottest first (ties: the
/// lowest index) while T falls and every rank has a free slot. An unused slot holds another
/// instance of the rank's coldest home (of the coldest shadowed home if all its homes are shadows);
/// tokens of that home stay on the rank. So an expert has one host or all.
/// Objective: max/mean load without the broadcasts. Infeasible: fewer slots than experts.
/// Throws what validate throws, and invalid_problem("broadcast_cost") if it is below 0.
/// Complexity: O(E log E + shadows (E + N)) per layer.
/// Reference: He et al., FasterMoE, PPoPP 2022.
struct shadow {
  static constexpr std::string_view name = "shadow";

  /// In tokens; the default is shadow_cost of H = 1024, alpha = 4, half precision, 12.5 GB/s and 10
  /// Tflop/s.
  std::int64_t broadcast_cost = 236;

  [[nodiscard]] SHUNT_CONSTEXPR solution<expert_placement> operator()(
      expert_layers const& problem) const;

 private:
  /// Returns the rank of each expert's home; ranks ascend.
  static SHUNT_CONSTEXPR std::vector<std::size_t> homes_of(expert_layers const& problem);

  /// Returns how many experts of `order` pay as shadows.
  SHUNT_CONSTEXPR std::size_t shadows(expert_layers const& problem,
                                      std::span<std::size_t const> homes,
                                      std::span<std::size_t const> order,
                                      std::span<std::int64_t const> loads) const;

  static SHUNT_CONSTEXPR void fill(expert_layers const& problem, std::span<std::size_t const> homes,
                                   std::span<std::size_t const> order, std::size_t shadows,
                                   std::span<expert_id> placed);
};
static_assert(solver_for<shadow, expert_layers>);

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/solve/experts/shadow.ipp"
#endif
