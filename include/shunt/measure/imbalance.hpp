#pragma once
#include <cstdint>
#include <span>

#include "shunt/core/config.hpp"
#include "shunt/core/id.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/plan/expert_placement.hpp"
#include "shunt/problem/expert_layers.hpp"

namespace shunt {

/// Returns r_i, the number of replicas of each expert of a layer.
[[nodiscard]] SHUNT_CONSTEXPR indexed<expert_id, std::int32_t> replica_counts(
    expert_placement const& placement, layer_id layer);

/// Returns the number of distinct (rank, expert) pairs of a layer: de-duplicated traffic is
/// proportional to it. At most min(s N, N + E - 1) if the slots of each expert are neighbours, N
/// the ranks that have slots (SYMI notes).
[[nodiscard]] SHUNT_CONSTEXPR std::int32_t hosted_pairs(expert_placement const& placement,
                                                        layer_id layer);

namespace detail {

/// Throws std::invalid_argument unless there is one load an expert, and the layer.
SHUNT_CONSTEXPR void require_loads_of(std::span<std::int64_t const> loads,
                                      expert_placement const& placement, layer_id layer);

/// Sets share[e] to the expert's load over its replicas.
/// Returns the tokens of all experts that have a replica.
SHUNT_CONSTEXPR std::int64_t share_out(std::span<std::int64_t const> loads,
                                       std::span<expert_id const> slots,
                                       indexed<expert_id, double>& share);

SHUNT_CONSTEXPR double rank_load(expert_placement const& placement,
                                 std::span<expert_id const> slots, rank_id r,
                                 indexed<expert_id, double> const& share);

SHUNT_CONSTEXPR double max_over_mean(std::span<std::int64_t const> loads,
                                     expert_placement const& placement, layer_id layer,
                                     indexed<expert_id, double>& share);

}  // namespace detail

/// Returns the tokens that each rank computes if every expert's load is split evenly over its
/// replicas and nothing is dropped. `loads` has one entry per expert; tokens of an expert without a
/// replica are not counted.
/// Throws std::invalid_argument unless `loads` has one entry an expert and the placement the layer.
[[nodiscard]] SHUNT_CONSTEXPR indexed<rank_id, double> rank_loads(
    std::span<std::int64_t const> loads, expert_placement const& placement, layer_id layer);

/// Returns the largest rank load over the mean of the ranks that have slots, under the even split:
/// 1 is perfect balance, also for a layer without tokens.
/// Throws std::invalid_argument unless `loads` has one entry an expert and the placement the layer.
[[nodiscard]] SHUNT_CONSTEXPR double max_over_mean(std::span<std::int64_t const> loads,
                                                   expert_placement const& placement,
                                                   layer_id layer);

/// Returns the mean of max_over_mean over the layers: the objective of placements.
/// Throws std::invalid_argument where the placement is not one of the layers (plan/mismatch.hpp);
/// experts may lack slots.
/// Complexity: O(layers x slots).
[[nodiscard]] SHUNT_CONSTEXPR double mean_max_over_mean(expert_layers const& problem,
                                                        expert_placement const& placement);

/// Returns the tokens of a layer that are dropped if each slot takes `capacity` tokens: the sum
/// over experts of load beyond replicas x capacity.
/// Throws std::invalid_argument unless `loads` has one entry an expert and the placement the layer.
[[nodiscard]] SHUNT_CONSTEXPR std::int64_t drops_under_capacity(std::span<std::int64_t const> loads,
                                                                expert_placement const& placement,
                                                                layer_id layer,
                                                                std::int64_t capacity);

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/measure/imbalance.ipp"
#endif
