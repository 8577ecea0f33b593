#pragma once
#include <cstddef>
#include <cstdint>
#include <random>
#include <vector>

#include "shunt/core/id.hpp"
#include "shunt/problem/expert_layers.hpp"
#include "support/random_cases.hpp"

namespace shunt::tests {

/// Layers whose loads are even, skewed, of one expert only, with zeros, with ties, with no token at
/// all; ranks with unequal slots.
inline shunt::expert_layers random_layers(std::mt19937_64& random, std::int32_t layers,
                                          std::int32_t most_experts, std::int64_t most_ranks) {
  shunt::expert_layers p{.layers = layers};
  p.experts = static_cast<std::int32_t>(1 + below(random, most_experts));
  auto const ranks = 1 + below(random, most_ranks);
  for (std::int64_t r = 0; r < ranks; ++r)
    p.slots_per_rank.push_back(static_cast<std::int32_t>(below(random, 6)));
  while (p.slots() < p.experts) ++p.slots_per_rank[static_cast<std::size_t>(below(random, ranks))];
  for (std::int32_t l = 0; l < p.layers; ++l) {
    auto const shape = below(random, 7);
    auto const hot = below(random, p.experts);
    for (std::int32_t e = 0; e < p.experts; ++e) {
      std::int64_t load = below(random, 1000);
      if (shape == 1) load = below(random, 3);
      if (shape == 2) load = e == hot ? 5000 : below(random, 2);
      if (shape == 3) load = std::int64_t{1} << below(random, 30);
      if (shape == 4) load = 0;
      if (shape == 5) load = 7;
      if (shape == 6) load = below(random, std::int64_t{1} << 40);
      p.loads.push_back(load);
    }
  }
  return p;
}

inline std::vector<std::int32_t> values_of(std::vector<shunt::expert_id> const& experts) {
  std::vector<std::int32_t> values;
  for (auto const e : experts) values.push_back(e.value());
  return values;
}

}  // namespace shunt::tests
