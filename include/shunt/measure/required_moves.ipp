#pragma once
#include "shunt/measure/required_moves.hpp"

#include <algorithm>
#include <cstddef>

namespace shunt {

SHUNT_CONSTEXPR std::vector<expert_id> lost_experts(expert_layers const& problem, layer_id layer) {
  std::vector<char> held(static_cast<std::size_t>(problem.experts), 0);
  for (expert_id const e : problem.previous_of(layer))
    if (e != expert_id{-1}) held[e.index()] = 1;
  std::vector<expert_id> lost;
  for (std::size_t e = 0; e < held.size(); ++e)
    if (held[e] == 0) lost.emplace_back(e);
  return lost;
}

SHUNT_CONSTEXPR std::int32_t required_moves(expert_layers const& problem, layer_id layer) {
  auto const before = problem.previous_of(layer);
  std::vector<std::int32_t> seen(static_cast<std::size_t>(problem.experts), -1);
  std::int32_t to_fill = 0, held = 0;  // held: experts on any rank
  std::size_t slot = 0;
  for (std::int32_t r = 0; r < problem.ranks(); ++r) {
    std::int32_t empty = 0, lacking = problem.experts;
    for (std::int32_t k = 0; k < problem.slots_per_rank[static_cast<std::size_t>(r)]; ++k) {
      expert_id const e = before[slot++];
      if (e == expert_id{-1}) {
        ++empty;
      } else if (auto& last = seen[e.index()]; last != r) {
        held += last == -1;
        last = r;
        --lacking;
      }
    }
    to_fill += std::min(empty, lacking);
  }
  return std::max(to_fill, problem.experts - held);
}

}  // namespace shunt
