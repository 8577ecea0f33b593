#pragma once
#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <random>
#include <span>
#include <vector>

#include "shunt/check/placement.hpp"
#include "shunt/core/id.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/measure/imbalance.hpp"
#include "shunt/plan/layer_slots.hpp"
#include "shunt/problem/expert_layers.hpp"
#include "shunt/solve/experts/slot_budget.hpp"
#include "support/random_cases.hpp"

namespace shunt::tests {

inline expert_layers random_budget(std::mt19937_64& random, std::int32_t most_layers,
                                   std::int32_t most_experts, std::int32_t most_ranks) {
  expert_layers p;
  p.layers = static_cast<std::int32_t>(1 + below(random, most_layers));
  p.experts = static_cast<std::int32_t>(1 + below(random, most_experts));
  auto const ranks = 1 + below(random, most_ranks);
  for (std::int64_t r = 0; r < ranks; ++r)
    p.slots_per_rank.push_back(static_cast<std::int32_t>(below(random, 4)));
  while (p.slots() < p.experts) ++p.slots_per_rank[static_cast<std::size_t>(below(random, ranks))];
  for (std::int32_t l = 0; l < p.layers; ++l) {
    auto const shape = below(random, 4);
    for (std::int32_t e = 0; e < p.experts; ++e)
      p.loads.push_back(shape == 0   ? 0
                        : shape == 1 ? below(random, 20)
                        : shape == 2 ? (below(random, 3) == 0 ? 900 : below(random, 50))
                                     : 7);
  }
  return p;
}

/// max(ceil(W / L), the least of max ceil(w_e / c_e)) over all counts from 1 to L with a sum of at
/// most `slots`, one by one.
inline std::int64_t bound_of(std::span<std::int64_t const> loads, std::int64_t slots,
                             std::int64_t live) {
  std::vector<std::int64_t> counts(loads.size(), 1);
  std::int64_t best = -1;
  std::int64_t const total = std::accumulate(loads.begin(), loads.end(), std::int64_t{0});
  for (;;) {
    if (std::accumulate(counts.begin(), counts.end(), std::int64_t{0}) <= slots) {
      std::int64_t most = (total + live - 1) / live;
      for (std::size_t e = 0; e < loads.size(); ++e)
        most = std::max(most, (loads[e] + counts[e] - 1) / counts[e]);
      best = best < 0 ? most : std::min(best, most);
    }
    std::size_t e = 0;
    for (; e < counts.size() && counts[e] == live; ++e) counts[e] = 1;
    if (e == counts.size()) return best;
    ++counts[e];
  }
}

/// Tokens of the fullest ranks, summed over layers; every placement is checked.
inline double fullest_tokens(expert_layers const& p, layer_slots const& dealt, auto const& solver) {
  double sum = 0;
  auto const placed = shunt::place_layers(p, dealt, solver);
  for (layer_id l : shunt::ids<layer_id>(p.layers)) {
    auto const& one = placed[l.index()];
    EXPECT_TRUE(one.has_plan());
    EXPECT_TRUE(shunt::check(shunt::layer_of(p, dealt, l), one.plan).empty());
    double most = 0;
    for (double const load : shunt::rank_loads(p.loads_of(l), one.plan, 0))
      most = std::max(most, load);
    sum += most;
  }
  return sum;
}

}  // namespace shunt::tests
