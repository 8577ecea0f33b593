#pragma once
#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <random>
#include <vector>

#include "shunt/core/id.hpp"
#include "shunt/plan/expert_placement.hpp"
#include "shunt/problem/expert_layers.hpp"
#include "shunt/solve/experts/eplb.hpp"
#include "support/random_cases.hpp"

namespace shunt::tests {

using loads_list = std::vector<std::int64_t>;

using counts_list = std::vector<std::int32_t>;

inline std::int64_t any_load(std::mt19937_64& random, std::int64_t shape) {
  if (shape == 0) return below(random, 1000);
  if (shape == 1) return below(random, 3);
  if (shape == 2) return below(random, 6) == 0 ? 5000 : below(random, 40);
  if (shape == 3) return std::int64_t{1} << below(random, 40);
  return 0;
}

/// Loads even, skewed, with zeros and ties, or none; ranks with different slots, some dead;
/// sometimes a previous placement.
inline expert_layers random_layers_with_previous(std::mt19937_64& random, std::int32_t most_experts,
                                                 bool previous) {
  expert_layers p;
  p.layers = static_cast<std::int32_t>(1 + below(random, 2));
  p.experts = static_cast<std::int32_t>(1 + below(random, most_experts));
  auto const ranks = 1 + below(random, 7);
  bool const equal = below(random, 2) == 0;
  auto const slots = 1 + below(random, 4);
  for (std::int64_t r = 0; r < ranks; ++r)
    p.slots_per_rank.push_back(static_cast<std::int32_t>(equal ? slots : below(random, 5)));
  while (p.slots() < p.experts) ++p.slots_per_rank[static_cast<std::size_t>(below(random, ranks))];
  for (std::int32_t l = 0; l < p.layers; ++l) {
    auto const shape = below(random, 5);
    for (std::int32_t e = 0; e < p.experts; ++e) p.loads.push_back(any_load(random, shape));
  }
  if (!previous) return p;
  auto old = p;
  for (auto& load : old.loads) load = below(random, 100);
  p.previous = shunt::eplb{}(old).plan.expert_of;
  return p;
}

/// The live ranks that hold each expert, as bits.
inline std::vector<std::uint32_t> host_bits(expert_placement const& plan, layer_id l) {
  std::vector<std::uint32_t> bits(static_cast<std::size_t>(plan.experts), 0);
  std::int32_t place = 0;
  for (std::size_t r = 0; r + 1 < plan.first_slot.size(); ++r) {
    for (auto s = plan.first_slot[r]; s < plan.first_slot[r + 1]; ++s)
      bits[plan.layer(l)[static_cast<std::size_t>(s)].index()] |= std::uint32_t{1} << place;
    place += plan.first_slot[r] < plan.first_slot[r + 1];
  }
  return bits;
}

/// Entry k: sets of k of `live` ranks that contain no host set whole, one by one.
inline std::vector<double> survivors(std::vector<std::uint32_t> const& hosts, std::int32_t live) {
  std::vector<double> sets(static_cast<std::size_t>(live) + 1, 0);
  for (std::uint32_t failed = 0; failed < std::uint32_t{1} << live; ++failed)
    if (std::all_of(hosts.begin(), hosts.end(), [&](auto h) { return (h & ~failed) != 0; }))
      ++sets[static_cast<std::size_t>(std::popcount(failed))];
  return sets;
}

}  // namespace shunt::tests
