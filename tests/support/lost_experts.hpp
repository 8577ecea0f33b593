#pragma once
#include <cstddef>
#include <cstdint>
#include <random>
#include <set>
#include <span>
#include <utility>
#include <vector>

#include "shunt/core/id.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/plan/expert_placement.hpp"
#include "shunt/plan/live_ranks.hpp"
#include "shunt/problem/expert_layers.hpp"
#include "shunt/solve/experts/eplb.hpp"
#include "support/random_cases.hpp"

namespace shunt::tests {

/// Layers after a loss or a join of ranks: a placement for other loads, ranks of it dead, others
/// with empty slots. Slots for every expert are left.
inline expert_layers random_loss(std::mt19937_64& random, std::int32_t most_experts,
                                 std::int64_t most_ranks, std::int64_t most_slots) {
  for (;;) {
    expert_layers p{.layers = static_cast<std::int32_t>(1 + below(random, 2))};
    p.experts = static_cast<std::int32_t>(1 + below(random, most_experts));
    auto const ranks = 2 + below(random, most_ranks - 1);
    for (std::int64_t r = 0; r < ranks; ++r)
      p.slots_per_rank.push_back(static_cast<std::int32_t>(1 + below(random, most_slots)));
    auto const cells = static_cast<std::size_t>(p.layers) * static_cast<std::size_t>(p.experts);
    for (std::size_t i = 0; i < cells; ++i) p.loads.push_back(below(random, 100));
    auto const placed = shunt::eplb{}(p);
    if (!placed.has_plan()) continue;
    p.previous = placed.plan.expert_of;
    for (auto& load : p.loads) load = below(random, 3) == 0 ? below(random, 900) : load;
    std::vector<bool> live;
    for (std::int64_t r = 0; r < ranks; ++r) {
      live.push_back(below(random, 3) > 0);
      bool const joined = below(random, 4) == 0;
      if (!joined) continue;
      auto const first = placed.plan.first_slot[static_cast<std::size_t>(r)],
                 last = placed.plan.first_slot[static_cast<std::size_t>(r) + 1];
      for (std::int32_t l = 0; l < p.layers; ++l)
        for (auto s = first; s < last; ++s)
          if (below(random, 3) > 0)
            p.previous[static_cast<std::size_t>(l * placed.plan.slots() + s)] = -1;
    }
    live[static_cast<std::size_t>(below(random, ranks))] = true;
    auto left = shunt::on_live_ranks(std::move(p), live);
    if (left.slots() >= left.experts) return left;
  }
}

/// Pairs of a rank and an expert that it holds.
inline std::set<std::pair<std::int32_t, std::int32_t>> pairs_of(
    std::span<expert_id const> slots, std::vector<std::int32_t> const& slots_per_rank) {
  std::set<std::pair<std::int32_t, std::int32_t>> pairs;
  std::size_t s = 0;
  for (std::size_t r = 0; r < slots_per_rank.size(); ++r)
    for (std::int32_t k = 0; k < slots_per_rank[r]; ++k, ++s)
      if (slots[s].value() >= 0) pairs.emplace(static_cast<std::int32_t>(r), slots[s].value());
  return pairs;
}

/// Calls `visit` with every content of the slots of one layer, valid or not.
template <class Visit>
void every_content(expert_layers const& p, Visit&& visit) {
  std::vector<expert_id> slots(static_cast<std::size_t>(p.slots()), 0);
  for (;;) {
    visit(std::as_const(slots));
    std::size_t at = 0;
    while (at < slots.size() && slots[at] == expert_id{p.experts - 1}) slots[at++] = 0;
    if (at == slots.size()) return;
    ++slots[at];
  }
}

}  // namespace shunt::tests
