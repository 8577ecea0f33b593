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
#include "shunt/lower/gradient_collection.hpp"
#include "shunt/lower/weight_scatter.hpp"
#include "shunt/plan/expert_placement.hpp"
#include "shunt/plan/shard_map.hpp"
#include "shunt/problem/expert_layers.hpp"
#include "shunt/problem/optimizer_state.hpp"
#include "shunt/program/program.hpp"
#include "shunt/solve/experts/swift_moe.hpp"
#include "shunt/solve/experts/uniform.hpp"
#include "shunt/solve/shards/cut_shards.hpp"
#include "support/random_cases.hpp"

namespace shunt::tests {

/// A model's experts with two placements of them and the shards of their optimizer.
struct collection_setting {
  optimizer_state state;
  shard_map shards;
  expert_placement now, next;
};

inline expert_placement random_placement_of_any_order(std::mt19937_64& random, std::int32_t layers,
                                                      std::int32_t experts,
                                                      std::vector<std::int32_t> const& slots) {
  shunt::expert_layers p{
      .layers = layers, .experts = experts, .loads = {}, .slots_per_rank = slots};
  for (std::int32_t i = 0; i < layers * experts; ++i)
    p.loads.push_back(below(random, 1 + below(random, 100)));
  auto const kind = below(random, 3);
  auto plan = kind == 0 ? shunt::uniform{}(p).plan : shunt::swift_moe{}(p).plan;
  if (kind == 2)  // no order at all
    for (layer_id l : shunt::ids<layer_id>(layers)) {
      auto const row = plan.layer(l);
      for (std::size_t i = row.size(); i > 1; --i)
        std::swap(row[i - 1],
                  row[static_cast<std::size_t>(below(random, static_cast<std::int64_t>(i)))]);
    }
  return plan;
}

inline collection_setting random_collection(std::mt19937_64& random) {
  collection_setting s;
  s.state = {.experts = static_cast<std::int32_t>(1 + below(random, 6)),
             .ranks = static_cast<std::int32_t>(1 + below(random, 6)),
             .elements = 1 + below(random, 20),
             .gradient_bytes = 8,
             .weight_bytes = static_cast<std::int32_t>(1 + below(random, 8))};
  std::vector<std::int32_t> slots;
  for (std::int32_t r = 0; r < s.state.ranks; ++r)
    slots.push_back(static_cast<std::int32_t>(below(random, 4)));
  while (std::accumulate(slots.begin(), slots.end(), 0) < s.state.experts)
    ++slots[static_cast<std::size_t>(below(random, s.state.ranks))];
  auto const layers = static_cast<std::int32_t>(1 + below(random, 2));
  s.now = random_placement_of_any_order(random, layers, s.state.experts, slots);
  s.next = random_placement_of_any_order(random, layers, s.state.experts, slots);
  s.shards = shunt::uniform_shards{}(s.state).plan;
  if (below(random, 3) == 0)  // any cut, any owners, some of them twice
    for (auto& shards : s.shards.shards) {
      shards.clear();
      for (std::int64_t begin = 0; begin < s.state.elements;) {
        auto const end = std::min(s.state.elements, begin + 1 + below(random, 5));
        shards.push_back({.owner = below(random, s.state.ranks), .begin = begin, .end = end});
        begin = end;
      }
    }
  return s;
}

inline std::vector<gradient_collection> const every_collection{
    {.form = collection_form::direct, .deduplicate = false},
    {.form = collection_form::direct, .deduplicate = true},
    {.form = collection_form::reduce_then_gather},
    {.form = collection_form::reduce_then_gather, .balance = false}};

/// One layer of a placement.
inline expert_placement only_layer(expert_placement const& p, layer_id l) {
  auto const slots = p.layer(l);
  return {.layers = 1,
          .experts = p.experts,
          .first_slot = p.first_slot,
          .expert_of = {slots.begin(), slots.end()}};
}

/// Messages that each rank sends to others when hosts that hold the sum send it on.
inline std::int64_t most_sent(collection_setting const& s, layer_id l, bool balance) {
  auto const how =
      gradient_collection{.form = collection_form::reduce_then_gather, .balance = balance};
  std::int64_t most = 0;
  for (auto const& rank : lower(s.state, only_layer(s.now, l), s.shards, how).ranks) {
    auto const sends = [](auto const& i) { return i.code == opcode::send; };
    most = std::max<std::int64_t>(
        most, std::count_if(rank.instructions.begin(), rank.instructions.end(), sends));
  }
  return most;
}

}  // namespace shunt::tests
