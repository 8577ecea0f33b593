#pragma once
#include "shunt/solve/experts/shadow.hpp"

#include <algorithm>
#include <limits>
#include <numeric>
#include <optional>
#include <string>
#include <utility>

#include "shunt/core/error.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/core/units.hpp"
#include "shunt/solve/author/experts.hpp"

namespace shunt {

SHUNT_CONSTEXPR double shadow_cost(double hidden, double alpha, double bytes, double bandwidth,
                                   double throughput) {
  double const weights = 2 * alpha * hidden * hidden * bytes / bandwidth;
  return weights / (3 * 4 * alpha * hidden * hidden / throughput + 4 * hidden * bytes / bandwidth);
}

SHUNT_CONSTEXPR solution<expert_placement> shadow::operator()(expert_layers const& problem) const {
  validate(problem);
  if (broadcast_cost < 0)
    throw invalid_problem("broadcast_cost",
                          "must be at least 0, is " + std::to_string(broadcast_cost));
  auto answer = unplaced(problem);
  if (!answer.has_plan()) return answer;
  auto const homes = homes_of(problem);
  std::vector<std::size_t> order(static_cast<std::size_t>(problem.experts));
  for (layer_id l : ids<layer_id>(problem.layers)) {
    auto const loads = problem.loads_of(l);
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
      return loads[a] > loads[b] || (loads[a] == loads[b] && a < b);
    });
    fill(problem, homes, order, shadows(problem, homes, order, loads), answer.plan.layer(l));
  }
  return evaluated(problem, std::move(answer.plan));
}

SHUNT_CONSTEXPR std::vector<std::size_t> shadow::homes_of(expert_layers const& problem) {
  auto const& slots = problem.slots_per_rank;
  std::vector<std::int32_t> count(slots.size(), 0);
  for (std::int32_t e = 0, level = 1; e < problem.experts; ++level)
    for (std::size_t r = 0; r < slots.size() && e < problem.experts; ++r)
      if (slots[r] >= level) {
        ++count[r];
        ++e;
      }
  std::vector<std::size_t> homes;
  for (std::size_t r = 0; r < slots.size(); ++r)
    homes.insert(homes.end(), static_cast<std::size_t>(count[r]), r);
  return homes;
}

SHUNT_CONSTEXPR std::size_t shadow::shadows(expert_layers const& problem,
                                            std::span<std::size_t const> homes,
                                            std::span<std::size_t const> order,
                                            std::span<std::int64_t const> loads) const {
  std::vector<std::int64_t> tokens(problem.slots_per_rank.size(), 0);
  std::vector<std::int32_t> free(problem.slots_per_rank.begin(), problem.slots_per_rank.end());
  std::int32_t live = 0;
  for (auto const s : free) live += s > 0;
  for (std::size_t e = 0; e < homes.size(); ++e) {
    tokens[homes[e]] += loads[e];
    --free[homes[e]];
  }
  auto const most =
      // live x T(k), since shares are not whole numbers
      [&](std::int64_t shared, std::int64_t k) {
        std::int64_t const fullest = *std::max_element(tokens.begin(), tokens.end());
        auto const sent = checked_multiply(k, broadcast_cost);
        auto const cost = sent ? checked_add(fullest, *sent) : std::nullopt;
        auto const all = cost ? checked_multiply(*cost, live) : std::nullopt;
        auto const sum = all ? checked_add(*all, shared) : std::nullopt;
        return sum ? *sum : std::numeric_limits<std::int64_t>::max();
      };
  std::int64_t shared = 0, best = most(0, 0);
  std::size_t k = 0;
  for (; live > 1 && k < order.size(); ++k) {
    std::size_t const e = order[k];
    bool room = true;
    for (std::size_t r = 0; r < free.size(); ++r)
      room = room && (problem.slots_per_rank[r] == 0 || r == homes[e] || free[r] > 0);
    if (!room) break;
    tokens[homes[e]] -= loads[e];
    shared += loads[e];
    auto const now = most(shared, static_cast<std::int64_t>(k) + 1);
    if (now >= best) break;
    best = now;
    for (std::size_t r = 0; r < free.size(); ++r)
      free[r] -= problem.slots_per_rank[r] > 0 && r != homes[e];
  }
  return k;
}

SHUNT_CONSTEXPR void shadow::fill(expert_layers const& problem, std::span<std::size_t const> homes,
                                  std::span<std::size_t const> order, std::size_t shadows,
                                  std::span<expert_id> placed) {
  std::size_t at = 0;
  for (std::size_t r = 0; r < problem.slots_per_rank.size(); ++r) {
    std::size_t const end = at + static_cast<std::size_t>(problem.slots_per_rank[r]);
    if (at == end) continue;
    for (std::size_t e = 0; e < homes.size(); ++e)
      if (homes[e] == r) placed[at++] = e;
    for (std::size_t i = 0; i < shadows; ++i)
      if (homes[order[i]] != r) placed[at++] = order[i];
    std::size_t coldest = order.size();  // position in the order
    for (std::size_t i = order.size(); i > 0 && coldest == order.size(); --i)
      if (homes[order[i - 1]] == r) coldest = i - 1;
    expert_id const spare = coldest < order.size() ? order[coldest] : order.back();
    while (at < end) placed[at++] = spare;
  }
}

}  // namespace shunt
