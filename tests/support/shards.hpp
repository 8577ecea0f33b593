#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <numeric>
#include <span>
#include <vector>

#include "shunt/core/id.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/execute/work.hpp"
#include "shunt/lower/expert_buffers.hpp"
#include "shunt/plan/expert_placement.hpp"
#include "shunt/plan/shard_map.hpp"
#include "shunt/problem/expert_layers.hpp"
#include "shunt/problem/optimizer_state.hpp"
#include "shunt/program/program.hpp"
#include "shunt/solve/experts/swift_moe.hpp"
#include "support/random_cases.hpp"

namespace shunt::tests {

inline optimizer_state random_state(random_cases& d, std::int32_t most_ranks = 7) {
  return {.experts = d.roll(1, 6), .ranks = d.roll(1, most_ranks), .elements = d.roll(1, 40)};
}

inline expert_placement random_placement(random_cases& d, optimizer_state const& state) {
  expert_layers layers{.experts = state.experts, .loads = {}, .slots_per_rank = {}};
  for (std::int32_t e = 0; e < state.experts; ++e) layers.loads.push_back(d.roll(0, 90));
  for (std::int32_t r = 0; r < state.ranks; ++r) layers.slots_per_rank.push_back(d.roll(0, 3));
  while (std::accumulate(layers.slots_per_rank.begin(), layers.slots_per_rank.end(), 0) <
         state.experts)
    ++layers.slots_per_rank[static_cast<std::size_t>(d.roll(0, state.ranks - 1))];
  return swift_moe{}(layers).plan;
}

inline std::vector<std::int64_t> held_by_rank(shard_map const& map, std::int32_t ranks) {
  std::vector<std::int64_t> sum;
  for (rank_id r : ids<rank_id>(ranks)) sum.push_back(held_elements(map, r));
  return sum;
}

/// Memory for every rank and nothing to compute.
struct shard_memory {
  explicit shard_memory(program const& p) {
    for (auto const& rank : p.ranks) {
      auto& buffers = of.emplace_back();
      for (auto const& b : rank.buffers)
        buffers.emplace_back(static_cast<std::size_t>(b.size), std::byte{0xEE});
    }
  }
  void operator()(rank_id, task const&) {}
  std::span<std::byte> buffer(rank_id r, buffer_id b) { return of[r.index()][b.index()]; }
  template <class T>
  T read(rank_id r, buffer_id b, std::int64_t index) {
    T value;
    std::memcpy(&value, buffer(r, b).data() + index * static_cast<std::int64_t>(sizeof(T)),
                sizeof(T));
    return value;
  }
  template <class T>
  void write(rank_id r, buffer_id b, std::int64_t index, T value) {
    std::memcpy(buffer(r, b).data() + index * static_cast<std::int64_t>(sizeof(T)), &value,
                sizeof(T));
  }
  std::vector<std::vector<std::vector<std::byte>>> of;
};

}  // namespace shunt::tests
