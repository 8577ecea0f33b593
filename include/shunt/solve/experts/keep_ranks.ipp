#pragma once
#include "shunt/solve/experts/keep_ranks.hpp"

#include <algorithm>
#include <cstddef>
#include <utility>

#include "shunt/core/indexed.hpp"
#include "shunt/plan/mismatch.hpp"
#include "shunt/solve/author/experts.hpp"
#include "shunt/solve/experts/search/rank_relabelling.hpp"

namespace shunt {

SHUNT_CONSTEXPR solution<expert_placement> keep_ranks::operator()(
    expert_layers const& problem, expert_placement const& plan) const {
  validate(problem);
  if (!mismatch(problem, plan).empty()) return evaluated(problem, plan);
  auto kept = plan;
  if (problem.previous.empty()) return evaluated(problem, std::move(kept));
  detail::rank_relabelling relabel(problem);
  auto const ranks = static_cast<std::size_t>(problem.ranks()),
             experts = static_cast<std::size_t>(problem.experts);
  auto const row = [&](auto slots, std::size_t r) {
    auto const first = static_cast<std::size_t>(plan.first_slot[r]);
    return slots.subspan(first, static_cast<std::size_t>(plan.first_slot[r + 1]) - first);
  };
  std::vector<char> had(ranks * experts, 0);
  std::vector<std::size_t> seen(experts, ranks * ranks);
  std::vector<std::int32_t> spare(experts, 0);
  for (layer_id l : ids<layer_id>(problem.layers)) {
    auto const before = problem.previous_of(l);
    auto const now = plan.layer(l);
    std::fill(had.begin(), had.end(), char{0});
    for (std::size_t r = 0; r < ranks; ++r)
      for (expert_id const e : row(before, r))
        if (e != expert_id{-1}) had[r * experts + e.index()] = 1;
    std::fill(seen.begin(), seen.end(), ranks * ranks);
    auto const rows = relabel([&](std::size_t from, std::size_t to) {
      std::int64_t stay = 0;
      std::size_t const asked = from * ranks + to;
      for (expert_id const e : row(now, from)) {
        stay += had[to * experts + e.index()] != 0 && seen[e.index()] != asked;
        seen[e.index()] = asked;
      }
      return stay;
    });
    for (std::size_t r = 0; r < ranks; ++r)
      settle(row(before, r), row(now, rows[r]), spare, row(kept.layer(l), r));
  }
  return evaluated(problem, std::move(kept));
}

SHUNT_CONSTEXPR void keep_ranks::settle(std::span<expert_id const> before,
                                        std::span<expert_id const> now,
                                        std::vector<std::int32_t>& spare,
                                        std::span<expert_id> slots) {
  for (expert_id const e : now) ++spare[e.index()];
  std::vector<std::size_t> open;
  for (std::size_t s = 0; s < slots.size(); ++s) {
    if (before[s] != expert_id{-1} && spare[before[s].index()] > 0)
      --spare[(slots[s] = before[s]).index()];
    else
      open.push_back(s);
  }
  std::vector<expert_id> rest;
  for (expert_id const e : now)
    for (; spare[e.index()] > 0; --spare[e.index()]) rest.push_back(e);
  std::sort(rest.begin(), rest.end());
  for (std::size_t i = 0; i < open.size(); ++i) slots[open[i]] = rest[i];
}

}  // namespace shunt
