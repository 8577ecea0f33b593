#pragma once
#include <cstdint>
#include <vector>

#include "shunt/core/config.hpp"
#include "shunt/core/id.hpp"
#include "shunt/plan/expert_placement.hpp"

namespace shunt {

/// The ranks that host an expert, ascending. If all of them fail, the expert is lost.
using host_set = std::vector<rank_id>;

/// Returns the host sets of a layer that contain no other host set, sorted. A set of failures loses
/// an expert if and only if it contains one of these.
/// Complexity: O(experts^2 x slots of an expert).
[[nodiscard]] SHUNT_CONSTEXPR std::vector<host_set> minimal_host_sets(
    expert_placement const& placement, layer_id layer);

namespace detail {

/// Returns the product of two polynomials.
SHUNT_CONSTEXPR std::vector<double> product(std::vector<double> const& p,
                                            std::vector<double> const& q);

}  // namespace detail

/// Returns in entry k, k = 0 .. live ranks (those with slots), how many sets of k live ranks can
/// fail together so that every expert of the layer keeps an instance. Exact up to 2^53.
/// Complexity: disjoint host sets multiply; otherwise the algorithm branches on a rank of most
/// sets, alive or failed, which at worst doubles the cost with every rank that is in several sets.
/// Practical for up to about twenty such ranks.
[[nodiscard]] SHUNT_CONSTEXPR std::vector<double> survivable_failures(
    expert_placement const& placement, layer_id layer);

/// Returns the probability that a layer loses no expert if `failed` of its live ranks, chosen
/// uniformly, fail together.
/// Throws invalid_problem if `failed` is not from 0 to the number of live ranks.
/// Reference: Lazarus, arXiv 2407.04656, the probability of recovery.
[[nodiscard]] SHUNT_CONSTEXPR double survival_chance(expert_placement const& placement,
                                                     layer_id layer, std::int32_t failed);

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/measure/survival.ipp"
#endif
