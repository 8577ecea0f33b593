#pragma once
#include "shunt/measure/placement_bounds.hpp"

#include <algorithm>

#include "shunt/core/units.hpp"

namespace shunt {

SHUNT_CONSTEXPR double max_over_mean_bound(std::span<std::int64_t const> loads, std::int32_t slots,
                                           std::int32_t live) {
  std::int64_t total = 0;
  for (auto const load : loads) total += load;
  auto const experts = static_cast<std::int32_t>(loads.size());
  if (total == 0 || slots < experts || live < 1) return 1;

  // t = 1: each expert needs ceil(w L / W) replicas; w <= W always, and w L <= W for most experts
  std::int64_t needed = 0;
  for (auto const load : loads)
    needed += load * live <= total ? 1 : ceil_divide(load * live, total);
  if (needed <= slots) return 1;

  // only experts above the mean share of a slot can get a second replica before all others are at
  // most that large
  struct entry {
    double share;  ///< load / copies
    std::int64_t load;
    std::int32_t copies;
    constexpr bool operator<(entry const& other) const { return share < other.share; }
  };
  std::vector<entry> heap;
  for (auto const load : loads)
    if (load * slots > total) heap.push_back({static_cast<double>(load), load, 1});
  std::make_heap(heap.begin(), heap.end());
  for (std::int32_t spare = slots - experts; spare > 0 && heap.front().copies < live; --spare) {
    std::pop_heap(heap.begin(), heap.end());
    auto& [share, load, copies] = heap.back();
    share = static_cast<double>(load) / ++copies;
    std::push_heap(heap.begin(), heap.end());
  }
  return std::max(1.0, heap.front().share * live / static_cast<double>(total));
}

SHUNT_CONSTEXPR std::vector<std::int64_t> fullest_rank_bounds(std::span<std::int64_t const> loads,
                                                              std::int64_t most,
                                                              std::int32_t live) {
  std::int64_t total = 0;
  for (auto const load : loads) total += load;
  struct entry {
    std::int64_t share, load, copies;  ///< share: load / copies, rounded up
    constexpr bool operator<(entry const& other) const { return share < other.share; }
  };
  std::vector<entry> heap;
  for (auto const load : loads) heap.push_back({load, load, 1});
  std::make_heap(heap.begin(), heap.end());
  std::int64_t const least = live < 1 ? total : ceil_divide<std::int64_t>(total, live);
  std::vector<std::int64_t> bounds(1, std::max(least, heap.front().share));
  auto const experts = static_cast<std::int64_t>(loads.size());
  for (std::int64_t slots = experts;
       slots < most && heap.front().share > least && heap.front().copies < live; ++slots) {
    std::pop_heap(heap.begin(), heap.end());
    auto& [share, load, copies] = heap.back();
    share = ceil_divide(load, ++copies);
    std::push_heap(heap.begin(), heap.end());
    bounds.push_back(std::max(least, heap.front().share));
  }
  return bounds;
}

SHUNT_CONSTEXPR double max_over_mean_bound(expert_layers const& problem, layer_id layer) {
  std::int32_t live = 0, slots = 0;
  for (auto const s : problem.slots_per_rank) {
    live += s > 0;
    slots += s;
  }
  return max_over_mean_bound(problem.loads_of(layer), slots, live);
}

}  // namespace shunt
