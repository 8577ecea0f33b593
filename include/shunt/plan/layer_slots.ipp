#pragma once
#include "shunt/plan/layer_slots.hpp"

#include <cstddef>

#include "shunt/core/indexed.hpp"

namespace shunt {

SHUNT_CONSTEXPR std::int32_t layer_slots::layers() const {
  return ranks == 0 ? 0 : static_cast<std::int32_t>(slots.size() / static_cast<std::size_t>(ranks));
}

SHUNT_CONSTEXPR std::span<std::int32_t const> layer_slots::layer(layer_id l) const {
  auto const width = static_cast<std::size_t>(ranks);
  return std::span(slots).subspan(l.index() * width, width);
}

SHUNT_CONSTEXPR std::int32_t layer_slots::of(layer_id l) const {
  std::int32_t sum = 0;
  for (auto const s : layer(l)) sum += s;
  return sum;
}

SHUNT_CONSTEXPR expert_layers layer_of(expert_layers const& problem, layer_id l) {
  auto const loads = problem.loads_of(l);
  expert_layers one;
  one.experts = problem.experts;
  one.loads.assign(loads.begin(), loads.end());
  one.slots_per_rank = problem.slots_per_rank;
  one.ranks_per_node = problem.ranks_per_node;
  one.groups = problem.groups;
  for (std::int32_t w = 0; w < problem.windows(); ++w) {
    auto const earlier = problem.loads_of(l, w);
    one.history.insert(one.history.end(), earlier.begin(), earlier.end());
  }
  for (rank_id r : ids<rank_id>(problem.sources.empty() ? 0 : problem.ranks())) {
    auto const here = problem.sources_of(l, r);
    one.sources.insert(one.sources.end(), here.begin(), here.end());
  }
  return one;
}

SHUNT_CONSTEXPR expert_layers layer_of(expert_layers const& problem, layer_slots const& dealt,
                                       layer_id l) {
  auto const slots = dealt.layer(l);
  auto one = layer_of(problem, l);
  one.slots_per_rank.assign(slots.begin(), slots.end());
  return one;
}

}  // namespace shunt
