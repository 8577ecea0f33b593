#pragma once
#include "shunt/solve/experts/near_sources.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "shunt/core/id.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/measure/token_traffic.hpp"
#include "shunt/plan/mismatch.hpp"
#include "shunt/solve/author/experts.hpp"
#include "shunt/solve/experts/search/rank_relabelling.hpp"

namespace shunt {

SHUNT_CONSTEXPR solution<expert_placement> near_sources::operator()(
    expert_layers const& problem, expert_placement const& plan) const {
  validate(problem);
  if (!mismatch(problem, plan).empty()) return evaluated(problem, plan);
  auto moved = plan;
  if (problem.sources.empty()) return evaluated(problem, std::move(moved));
  detail::rank_relabelling relabel(problem);
  auto const ranks = static_cast<std::size_t>(problem.ranks()),
             experts = static_cast<std::size_t>(problem.experts);
  auto const row = [&](auto slots, std::size_t r) {
    auto const first = static_cast<std::size_t>(plan.first_slot[r]);
    return slots.subspan(first, static_cast<std::size_t>(plan.first_slot[r + 1]) - first);
  };
  std::vector<std::int64_t> replicas(experts, 0), room(experts, 0);
  for (layer_id l : ids<layer_id>(problem.layers)) {
    auto const now = plan.layer(l);
    auto const loads = problem.loads_of(l);
    std::fill(replicas.begin(), replicas.end(), 0);
    for (expert_id const e : now) ++replicas[e.index()];
    auto const rows = relabel([&](std::size_t from, std::size_t to) {
      std::int64_t local = 0;
      auto const here = problem.sources_of(l, to);
      for (expert_id const e : row(now, from))
        room[e.index()] += loads[e.index()] / replicas[e.index()];
      for (expert_id const e : row(now, from))
        local += std::min(here[e.index()], std::exchange(room[e.index()], 0));
      return local;
    });
    auto const after = moved.layer(l);
    for (std::size_t r = 0; r < ranks; ++r)
      std::copy(row(now, rows[r]).begin(), row(now, rows[r]).end(), row(after, r).begin());
    if (local_tokens(problem, moved, l) < local_tokens(problem, plan, l))
      std::copy(now.begin(), now.end(), after.begin());
  }
  return evaluated(problem, std::move(moved));
}

}  // namespace shunt
