#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "shunt/check/placement.hpp"
#include "shunt/core/id.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/io/csv.hpp"
#include "shunt/measure/imbalance.hpp"
#include "shunt/plan/expert_placement.hpp"
#include "shunt/problem/expert_layers.hpp"
#include "support/random_cases.hpp"

namespace shunt::tests {

inline expert_layers one_layer(std::vector<std::int64_t> loads, std::vector<std::int32_t> slots) {
  auto const experts = static_cast<std::int32_t>(loads.size());
  return {.layers = 1,
          .experts = experts,
          .loads = std::move(loads),
          .slots_per_rank = std::move(slots)};
}

/// Loads of many shapes: even, skewed, one expert only, with zeros, with ties.
inline expert_layers random_layers_of_many_shapes(std::mt19937_64& random,
                                                  std::int32_t most_experts) {
  expert_layers p;
  p.layers = static_cast<std::int32_t>(1 + below(random, 3));
  p.experts = static_cast<std::int32_t>(1 + below(random, most_experts));
  auto const ranks = 1 + below(random, 9);
  for (std::int64_t r = 0; r < ranks; ++r)
    p.slots_per_rank.push_back(static_cast<std::int32_t>(below(random, 6)));
  while (p.slots() < p.experts) ++p.slots_per_rank[static_cast<std::size_t>(below(random, ranks))];
  for (std::int32_t l = 0; l < p.layers; ++l) {
    auto const shape = below(random, 5);
    auto const hot = below(random, p.experts);
    for (std::int32_t e = 0; e < p.experts; ++e) {
      std::int64_t load = below(random, 1000);
      if (shape == 1) load = below(random, 3);
      if (shape == 2) load = e == hot ? 5000 : below(random, 2);
      if (shape == 3) load = std::int64_t{1} << below(random, 30);
      if (shape == 4) load = 0;
      p.loads.push_back(load);
    }
  }
  return p;
}

inline std::vector<std::int32_t> slots_of(expert_placement const& placement,
                                          shunt::layer_id layer = 0) {
  std::vector<std::int32_t> list;
  for (auto const e : placement.layer(layer)) list.push_back(e.value());
  return list;
}

/// Loads of six shapes: even, few tokens, one expert only, powers of two, none, Zipf.
inline std::vector<std::int64_t> random_loads(std::mt19937_64& random, std::int32_t experts) {
  std::vector<std::int64_t> loads;
  auto const shape = below(random, 6);
  auto const hot = below(random, experts);
  for (std::int32_t e = 0; e < experts; ++e) {
    std::int64_t load = below(random, 1000);
    if (shape == 1) load = below(random, 3);
    if (shape == 2) load = e == hot ? 5000 : below(random, 2);
    if (shape == 3) load = std::int64_t{1} << below(random, 20);
    if (shape == 4) load = 0;
    if (shape == 5) load = 10000 / (1 + (e + hot) % experts);
    loads.push_back(load);
  }
  return loads;
}

inline expert_layers random_layers_of_six_shapes(std::mt19937_64& random, std::int32_t most_experts,
                                                 std::int64_t most_ranks, std::int64_t most_slots) {
  expert_layers p;
  p.layers = static_cast<std::int32_t>(1 + below(random, 2));
  p.experts = static_cast<std::int32_t>(1 + below(random, most_experts));
  auto const ranks = 1 + below(random, most_ranks);
  for (std::int64_t r = 0; r < ranks; ++r)
    p.slots_per_rank.push_back(static_cast<std::int32_t>(below(random, most_slots + 1)));
  while (p.slots() < p.experts) ++p.slots_per_rank[static_cast<std::size_t>(below(random, ranks))];
  for (std::int32_t l = 0; l < p.layers; ++l) {
    auto const row = random_loads(random, p.experts);
    p.loads.insert(p.loads.end(), row.begin(), row.end());
  }
  return p;
}

inline expert_layers recorded(std::string const& name, std::int32_t slots, std::int32_t ranks) {
  auto const table =
      shunt::read_csv_file(std::string(SHUNT_TEST_DATA) + "/expert_loads/" + name, 0);
  return {.layers = static_cast<std::int32_t>(table.rows()),
          .experts = static_cast<std::int32_t>(table.columns),
          .loads = table.values,
          .slots_per_rank = shunt::deal_slots(slots, ranks)};
}

inline std::int32_t repeats(expert_placement const& plan) {
  std::int32_t sum = 0;
  for (layer_id l : shunt::ids<layer_id>(plan.layers))
    sum += plan.slots() - shunt::hosted_pairs(plan, l);
  return sum;
}

inline double worst_layer(expert_layers const& p, expert_placement const& plan) {
  double worst = 0;
  for (layer_id l : shunt::ids<layer_id>(p.layers))
    worst = std::max(worst, shunt::max_over_mean(p.loads_of(l), plan, l));
  return worst;
}

// ---- bounds and the exact solver ----

/// The least max/mean of all placements, by trying each.
inline double tried_all(expert_layers const& p, bool no_repeats) {
  expert_placement plan{.layers = 1, .experts = p.experts, .first_slot = {0}, .expert_of = {}};
  for (auto const s : p.slots_per_rank) plan.first_slot.push_back(plan.first_slot.back() + s);
  plan.expert_of.assign(static_cast<std::size_t>(p.slots()), 0);
  double best = std::numeric_limits<double>::infinity();
  for (;;) {
    if (shunt::check(p, plan).empty() && (!no_repeats || repeats(plan) == 0))
      best = std::min(best, shunt::mean_max_over_mean(p, plan));
    std::size_t at = 0;
    while (at < plan.expert_of.size() && plan.expert_of[at] == expert_id{p.experts - 1})
      plan.expert_of[at++] = 0;
    if (at == plan.expert_of.size()) return best;
    ++plan.expert_of[at];
  }
}

}  // namespace shunt::tests
