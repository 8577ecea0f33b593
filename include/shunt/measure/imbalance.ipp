#pragma once
#include "shunt/measure/imbalance.hpp"

#include <algorithm>
#include <cstddef>
#include <stdexcept>
#include <string>

#include "shunt/core/units.hpp"
#include "shunt/plan/mismatch.hpp"

namespace shunt {

SHUNT_CONSTEXPR indexed<expert_id, std::int32_t> replica_counts(expert_placement const& placement,
                                                                layer_id layer) {
  indexed<expert_id, std::int32_t> counts(static_cast<std::size_t>(placement.experts));
  for (expert_id const e : placement.layer(layer)) ++counts[e];
  return counts;
}

SHUNT_CONSTEXPR std::int32_t hosted_pairs(expert_placement const& placement, layer_id layer) {
  indexed<expert_id, std::int32_t> seen(static_cast<std::size_t>(placement.experts), -1);
  auto const slots = placement.layer(layer);
  std::int32_t pairs = 0;
  for (std::int32_t r = 0; r < placement.ranks(); ++r) {
    for (std::int32_t s = placement.first_slot[static_cast<std::size_t>(r)];
         s < placement.first_slot[static_cast<std::size_t>(r) + 1]; ++s) {
      auto& last = seen[slots[static_cast<std::size_t>(s)]];
      pairs += last != r;
      last = r;
    }
  }
  return pairs;
}

}  // namespace shunt

namespace shunt::detail {

SHUNT_CONSTEXPR void require_loads_of(std::span<std::int64_t const> loads,
                                      expert_placement const& placement, layer_id layer) {
  if (loads.size() != static_cast<std::size_t>(placement.experts))
    throw std::invalid_argument(std::to_string(loads.size()) + " loads for a placement of " +
                                std::to_string(placement.experts) + " experts");
  if (layer.value() < 0 || layer.value() >= placement.layers)
    throw std::invalid_argument("layer " + std::to_string(layer.value()) + " of a placement of " +
                                std::to_string(placement.layers) + " layers");
}

SHUNT_CONSTEXPR std::int64_t share_out(std::span<std::int64_t const> loads,
                                       std::span<expert_id const> slots,
                                       indexed<expert_id, double>& share) {
  for (double& x : share) x = 0;
  for (expert_id const e : slots)
    if (e != expert_id{-1}) ++share[e];  // -1: an empty slot
  std::int64_t total = 0;
  for (expert_id e : ids<expert_id>(share.size()))
    if (share[e] > 0) {
      share[e] = static_cast<double>(loads[e.index()]) / share[e];
      total += loads[e.index()];
    }
  return total;
}

SHUNT_CONSTEXPR double rank_load(expert_placement const& placement,
                                 std::span<expert_id const> slots, rank_id r,
                                 indexed<expert_id, double> const& share) {
  double sum = 0;
  for (std::int32_t s = placement.first_slot[r.index()]; s < placement.first_slot[r.index() + 1];
       ++s)
    if (auto const e = slots[static_cast<std::size_t>(s)]; e != expert_id{-1}) sum += share[e];
  return sum;
}

SHUNT_CONSTEXPR double max_over_mean(std::span<std::int64_t const> loads,
                                     expert_placement const& placement, layer_id layer,
                                     indexed<expert_id, double>& share) {
  auto const slots = placement.layer(layer);
  std::int64_t const total = share_out(loads, slots, share);
  if (total == 0) return 1;
  double most = 0;
  std::int32_t live = 0;
  for (rank_id r : ids<rank_id>(placement.ranks())) {
    most = std::max(most, rank_load(placement, slots, r, share));
    live += placement.first_slot[r.index() + 1] > placement.first_slot[r.index()];
  }
  return std::max(1.0, most * live / static_cast<double>(total));
}

}  // namespace shunt::detail

namespace shunt {

SHUNT_CONSTEXPR indexed<rank_id, double> rank_loads(std::span<std::int64_t const> loads,
                                                    expert_placement const& placement,
                                                    layer_id layer) {
  detail::require_loads_of(loads, placement, layer);
  indexed<expert_id, double> share(static_cast<std::size_t>(placement.experts));
  detail::share_out(loads, placement.layer(layer), share);
  indexed<rank_id, double> sums(static_cast<std::size_t>(placement.ranks()));
  for (rank_id r : ids<rank_id>(placement.ranks()))
    sums[r] = detail::rank_load(placement, placement.layer(layer), r, share);
  return sums;
}

SHUNT_CONSTEXPR double max_over_mean(std::span<std::int64_t const> loads,
                                     expert_placement const& placement, layer_id layer) {
  detail::require_loads_of(loads, placement, layer);
  indexed<expert_id, double> share(static_cast<std::size_t>(placement.experts));
  return detail::max_over_mean(loads, placement, layer, share);
}

SHUNT_CONSTEXPR double mean_max_over_mean(expert_layers const& problem,
                                          expert_placement const& placement) {
  if (auto const wrong = mismatch(problem, placement, extent::part); !wrong.empty())
    throw std::invalid_argument(wrong);
  indexed<expert_id, double> share(static_cast<std::size_t>(placement.experts));
  double sum = 0;
  for (layer_id l : ids<layer_id>(problem.layers))
    sum += detail::max_over_mean(problem.loads_of(l), placement, l, share);
  return sum / problem.layers;
}

SHUNT_CONSTEXPR std::int64_t drops_under_capacity(std::span<std::int64_t const> loads,
                                                  expert_placement const& placement, layer_id layer,
                                                  std::int64_t capacity) {
  detail::require_loads_of(loads, placement, layer);
  auto const replicas = replica_counts(placement, layer);
  std::int64_t dropped = 0;
  for (expert_id e : ids<expert_id>(placement.experts)) {
    auto const room = checked_multiply(replicas[e], capacity);
    if (room) dropped += std::max<std::int64_t>(0, loads[e.index()] - *room);
  }
  return dropped;
}

}  // namespace shunt
