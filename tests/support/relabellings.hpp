#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <numeric>
#include <random>
#include <utility>
#include <vector>

#include "shunt/core/id.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/measure/imbalance.hpp"
#include "shunt/plan/expert_placement.hpp"
#include "shunt/problem/expert_layers.hpp"
#include "shunt/solve/experts/eplb.hpp"
#include "support/random_cases.hpp"

namespace shunt::tests {

/// One or two layers on up to six ranks, some dead, one or two or three nodes, with groups or
/// without; tokens of random sources. Loads divide by every number of replicas up to 6, if asked.
inline expert_layers random_layers_with_sources(std::mt19937_64& random, bool divisible) {
  expert_layers p;
  p.layers = static_cast<std::int32_t>(1 + below(random, 2));
  p.experts = static_cast<std::int32_t>(1 + below(random, 7));
  auto const ranks = static_cast<std::int32_t>(2 + below(random, 5));
  auto const slots = 1 + below(random, 3);
  bool const equal = below(random, 2) == 0;
  for (std::int32_t r = 0; r < ranks; ++r)
    p.slots_per_rank.push_back(static_cast<std::int32_t>(equal ? slots : below(random, 4)));
  while (p.slots() < p.experts) ++p.slots_per_rank[static_cast<std::size_t>(below(random, ranks))];
  if (below(random, 2) == 0) {
    p.ranks_per_node = static_cast<std::int32_t>(1 + below(random, 3));
    p.groups = static_cast<std::int32_t>(below(random, p.experts + 1));
  }
  p.loads.assign(static_cast<std::size_t>(p.layers * p.experts), 0);
  std::int64_t const unit = divisible ? 60 : 1;
  for (std::int32_t l = 0; l < p.layers; ++l)
    for (std::int32_t r = 0; r < ranks; ++r)
      for (std::int32_t e = 0; e < p.experts; ++e) {
        std::int64_t const count = below(random, 3) == 0 ? 0 : unit * below(random, 40);
        p.sources.push_back(count);
        p.loads[static_cast<std::size_t>(l * p.experts + e)] += count;
      }
  return p;
}

inline expert_placement random_plan(std::mt19937_64& random, expert_layers const& p) {
  auto plan = shunt::eplb{}(p).plan;
  if (plan.layers == 0) {
    auto free = p;
    free.groups = 0;
    plan = shunt::eplb{}(free).plan;
  }
  for (layer_id l : shunt::ids<layer_id>(p.layers)) {
    auto slots = plan.layer(l);
    for (std::size_t s = slots.size(); s > 1; --s)
      std::swap(slots[s - 1],
                slots[static_cast<std::size_t>(below(random, static_cast<std::int64_t>(s)))]);
  }
  return plan;
}

/// Calls f with every dealing of rows to ranks: rows of as many slots, and whole nodes where
/// experts stand in groups.
template <class F>
void every_dealing(expert_layers const& p, F&& f) {
  std::vector<std::size_t> row(p.slots_per_rank.size());
  std::iota(row.begin(), row.end(), std::size_t{0});
  auto const node = [&](std::size_t r) {
    return p.groups > 0 && p.ranks_per_node > 0 ? r / static_cast<std::size_t>(p.ranks_per_node)
                                                : 0;
  };
  do {
    bool allowed = true;
    for (std::size_t r = 0; r < row.size(); ++r) {
      allowed = allowed && p.slots_per_rank[r] == p.slots_per_rank[row[r]];
      for (std::size_t q = 0; q < row.size(); ++q)
        allowed = allowed && (node(r) == node(q)) == (node(row[r]) == node(row[q]));
    }
    if (allowed) f(row);
  } while (std::next_permutation(row.begin(), row.end()));
}

inline expert_placement dealt(expert_placement const& plan, layer_id l,
                              std::vector<std::size_t> const& row) {
  auto copy = plan;
  for (std::size_t r = 0; r < row.size(); ++r)
    for (std::int32_t k = 0; k < plan.first_slot[r + 1] - plan.first_slot[r]; ++k)
      copy.layer(l)[static_cast<std::size_t>(plan.first_slot[r] + k)] =
          plan.layer(l)[static_cast<std::size_t>(plan.first_slot[row[r]] + k)];
  return copy;
}

inline std::vector<double> sorted_loads(expert_layers const& p, expert_placement const& plan,
                                        layer_id l) {
  auto loads = shunt::rank_loads(p.loads_of(l), plan, l).items();
  std::sort(loads.begin(), loads.end());
  return loads;
}

}  // namespace shunt::tests
