#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <random>
#include <utility>
#include <vector>

#include "shunt/core/id.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/plan/expert_placement.hpp"
#include "shunt/plan/shard_map.hpp"
#include "shunt/problem/expert_layers.hpp"
#include "shunt/problem/optimizer_state.hpp"
#include "shunt/problem/routed_tokens.hpp"
#include "shunt/solve/experts/swift_moe.hpp"
#include "shunt/solve/shards/cut_shards.hpp"
#include "support/random_cases.hpp"

namespace shunt::tests {

/// Unequal ranks, some of them dead, with a slot for every expert at least.
inline std::vector<std::int32_t> random_ranks(std::mt19937_64& random, std::int32_t ranks,
                                              std::int32_t experts) {
  std::vector<std::int32_t> slots;
  for (std::int32_t r = 0; r < ranks; ++r)
    slots.push_back(static_cast<std::int32_t>(below(random, 4)));
  while (std::accumulate(slots.begin(), slots.end(), 0) < experts)
    ++slots[static_cast<std::size_t>(below(random, ranks))];
  return slots;
}

/// In SwiftMoE's order, or in none at all.
inline expert_placement random_placement_in_order_or_none(std::mt19937_64& random,
                                                          std::int32_t layers, std::int32_t experts,
                                                          std::vector<std::int32_t> const& slots) {
  shunt::expert_layers p{
      .layers = layers, .experts = experts, .loads = {}, .slots_per_rank = slots};
  for (std::int32_t i = 0; i < layers * experts; ++i)
    p.loads.push_back(below(random, 1 + below(random, 100)));
  auto plan = shunt::swift_moe{}(p).plan;
  for (layer_id l : shunt::ids<layer_id>(layers))
    if (below(random, 2) == 0) {
      auto const row = plan.layer(l);
      for (std::size_t i = row.size(); i > 1; --i)
        std::swap(row[i - 1],
                  row[static_cast<std::size_t>(below(random, static_cast<std::int64_t>(i)))]);
    }
  return plan;
}

inline shard_map random_shards(std::mt19937_64& random, optimizer_state const& state) {
  auto map = shunt::uniform_shards{}(state).plan;
  if (below(random, 2) == 0) return map;
  for (auto& shards : map.shards) {  // any cut, any owners, some of them twice
    shards.clear();
    for (std::int64_t begin = 0; begin < state.elements;) {
      auto const end = std::min(state.elements, begin + 1 + below(random, 5));
      shards.push_back({.owner = below(random, state.ranks), .begin = begin, .end = end});
      begin = end;
    }
  }
  return map;
}

/// Slots hold any experts, some none at all; ranks may be without slots or tokens.
inline routed_tokens random_tokens(std::mt19937_64& random) {
  routed_tokens p;
  p.experts = static_cast<std::int32_t>(1 + below(random, 6));
  auto const ranks = 1 + below(random, 7);
  for (std::int64_t r = 0; r < ranks; ++r) {
    for (auto slots = below(random, 5); slots > 0; --slots)
      p.expert_of.push_back(below(random, p.experts));
    p.first_slot.push_back(p.slots());
  }
  auto const most = std::int64_t{1} << below(random, 12);
  for (std::int64_t i = 0; i < ranks * p.experts; ++i)
    p.counts.push_back(below(random, 3) == 0 ? 0 : below(random, most));
  p.capacity = below(random, most * ranks);
  return p;
}

}  // namespace shunt::tests
