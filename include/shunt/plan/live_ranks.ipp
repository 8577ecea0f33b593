#pragma once
#include "shunt/plan/live_ranks.hpp"

#include <algorithm>
#include <cstddef>
#include <string>
#include <utility>

#include "shunt/core/error.hpp"
#include "shunt/core/indexed.hpp"

namespace shunt {

SHUNT_CONSTEXPR expert_layers on_live_ranks(expert_layers problem, std::vector<bool> const& live) {
  auto const ranks = problem.slots_per_rank.size();
  if (live.size() != ranks)
    throw invalid_problem("live", "has " + std::to_string(live.size()) + " entries for " +
                                      std::to_string(ranks) + " ranks");
  if (std::find(live.begin(), live.end(), true) == live.end())
    throw invalid_problem("live", "has no rank");
  std::vector<bool> kept;
  for (std::size_t r = 0; r < ranks; ++r) {
    if (problem.slots_per_rank[r] > 0)
      kept.insert(kept.end(), static_cast<std::size_t>(problem.slots_per_rank[r]), live[r]);
    if (!live[r]) problem.slots_per_rank[r] = 0;
  }
  if (problem.previous.empty()) return problem;
  auto const rows = static_cast<std::size_t>(std::max(0, problem.layers));
  if (problem.previous.size() != rows * kept.size())
    throw invalid_problem("previous", "has " + std::to_string(problem.previous.size()) +
                                          " values for " + std::to_string(rows) + " layers x " +
                                          std::to_string(kept.size()) + " slots");
  std::vector<expert_id> previous;
  for (std::size_t i = 0; i < problem.previous.size(); ++i)
    if (kept[i % kept.size()]) previous.push_back(problem.previous[i]);
  problem.previous = std::move(previous);
  return problem;
}

SHUNT_CONSTEXPR std::vector<expert_id> on_all_ranks(expert_placement const& plan,
                                                    std::span<std::int32_t const> slots_per_rank) {
  std::vector<expert_id> all;
  for (layer_id l : ids<layer_id>(plan.layers))
    for (std::size_t r = 0; r < slots_per_rank.size(); ++r) {
      std::int32_t const first = plan.first_slot[r], last = plan.first_slot[r + 1];
      for (std::int32_t s = first; s < last; ++s)
        all.push_back(plan.layer(l)[static_cast<std::size_t>(s)]);
      for (std::int32_t s = last - first; s < slots_per_rank[r]; ++s) all.emplace_back(-1);
    }
  return all;
}

}  // namespace shunt
