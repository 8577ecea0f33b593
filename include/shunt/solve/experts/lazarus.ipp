#pragma once
#include "shunt/solve/experts/lazarus.hpp"

#include <algorithm>
#include <numeric>
#include <string>
#include <utility>

#include "shunt/core/error.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/measure/survival.hpp"
#include "shunt/solve/author/experts.hpp"

namespace shunt {

SHUNT_CONSTEXPR std::vector<std::int32_t> lazarus_counts(std::span<std::int64_t const> loads,
                                                         std::int32_t slots, std::int32_t floor) {
  std::vector<std::size_t> order(loads.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return loads[a] < loads[b] || (loads[a] == loads[b] && a < b);
  });
  std::int64_t tokens = 0;
  for (auto const load : loads) tokens += load;
  auto experts = static_cast<std::int32_t>(loads.size());
  std::int32_t const least = std::min(floor, slots / experts);
  std::vector<std::int32_t> counts(loads.size(), 0);
  for (std::size_t const e : order) {
    std::int64_t const share = tokens == 0 ? slots / experts : loads[e] * slots / tokens;
    counts[e] = std::max(static_cast<std::int32_t>(share), least);
    slots -= counts[e];
    tokens -= loads[e];
    --experts;
  }
  return counts;
}

SHUNT_CONSTEXPR solution<expert_placement> lazarus::operator()(expert_layers const& problem) const {
  validate(problem);
  if (floor < 1) throw invalid_problem("floor", "must be at least 1, is " + std::to_string(floor));
  auto answer = unplaced(problem);
  if (!answer.has_plan()) return answer;
  std::vector<std::size_t> ranks;  // live ranks, most slots first
  for (std::size_t r = 0; r < problem.slots_per_rank.size(); ++r)
    if (problem.slots_per_rank[r] > 0) ranks.push_back(r);
  std::sort(ranks.begin(), ranks.end(), [&](std::size_t a, std::size_t b) {
    auto const x = problem.slots_per_rank[a], y = problem.slots_per_rank[b];
    return x > y || (x == y && a < b);
  });
  for (layer_id l : ids<layer_id>(problem.layers)) {
    auto const counts = lazarus_counts(problem.loads_of(l), problem.slots(), floor);
    std::vector<rows> tried;
    std::size_t best = 0;
    for (auto const form : {groups::short_last, groups::short_first, groups::none}) {
      tried.push_back(lay_out(problem, ranks, counts, form));
      if (safer(tried.back(), tried[best], problem.experts)) best = tried.size() - 1;
    }
    if (!problem.previous.empty()) keep_near(problem, l, tried[best]);
    auto at = answer.plan.layer(l).begin();
    for (auto const& row : tried[best]) at = std::copy(row.begin(), row.end(), at);
  }
  return evaluated(problem, std::move(answer.plan));
}

SHUNT_CONSTEXPR bool lazarus::holds(std::vector<expert_id> const& row, expert_id e) {
  return std::find(row.begin(), row.end(), e) != row.end();
}

SHUNT_CONSTEXPR lazarus::rows lazarus::lay_out(expert_layers const& problem,
                                               std::span<std::size_t const> ranks,
                                               std::vector<std::int32_t> left, groups form) {
  auto const& slots = problem.slots_per_rank;
  rows held(slots.size());
  std::vector<std::size_t> order(left.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return left[a] < left[b] || (left[a] == left[b] && a < b);
  });

  std::size_t at = 0, used = 0;
  while (form != groups::none && at < order.size() && used < ranks.size()) {
    auto const hosts = std::min(static_cast<std::size_t>(left[order[at]]), ranks.size() - used);
    auto size = static_cast<std::size_t>(slots[ranks[used + hosts - 1]]);
    if (at == 0 && form == groups::short_first && order.size() % size != 0)
      size = order.size() % size;
    size = std::min(size, order.size() - at);
    for (std::size_t i = at; i < at + size; ++i) {
      for (std::size_t r = used; r < used + hosts; ++r) held[ranks[r]].push_back(order[i]);
      left[order[i]] -= static_cast<std::int32_t>(hosts);
    }
    at += size;
    used += hosts;
  }

  // the rest: unplaced experts first, then those with the most replicas, each on the rank with the
  // most vacant slots
  std::vector<char> unplaced(left.size(), 0);
  for (; at < order.size(); ++at) unplaced[order[at]] = 1;
  std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    if (unplaced[a] != unplaced[b]) return unplaced[a] > unplaced[b];
    return left[a] > left[b] || (left[a] == left[b] && a < b);
  });
  auto const vacant = [&](std::size_t r) {
    return slots[r] - static_cast<std::int32_t>(held[r].size());
  };
  auto const after = [&](std::size_t a, std::size_t b) {
    return vacant(a) < vacant(b) || (vacant(a) == vacant(b) && a > b);
  };
  std::vector<std::size_t> open, passed;  // open is a heap
  for (std::size_t r = 0; r < slots.size(); ++r)
    if (vacant(r) > 0) open.push_back(r);
  std::make_heap(open.begin(), open.end(), after);
  auto const pop = [&] {
    std::pop_heap(open.begin(), open.end(), after);
    std::size_t const r = open.back();
    open.pop_back();
    return r;
  };
  auto const push = [&](std::size_t r) {
    open.push_back(r);
    std::push_heap(open.begin(), open.end(), after);
  };
  for (std::size_t const e : order) {
    passed.clear();  // the ranks that hold e, in the order of the heap
    for (; left[e] > 0; --left[e]) {
      while (!open.empty() && holds(held[open.front()], e)) passed.push_back(pop());
      if (open.empty()) break;
      std::size_t const target = pop();
      held[target].push_back(e);
      passed.push_back(target);
    }
    for (std::size_t const r : passed)
      if (vacant(r) > 0) push(r);
    if (left[e] == 0) continue;
    for (; left[e] > 0; --left[e]) {  // a second time on the first rank with room
      auto const first = std::min_element(open.begin(), open.end());
      held[*first].push_back(e);
      if (vacant(*first) == 0) open.erase(first);
    }
    std::make_heap(open.begin(), open.end(), after);
  }
  for (auto& row : held) std::sort(row.begin(), row.end());
  return held;
}

SHUNT_CONSTEXPR bool lazarus::safer(rows const& a, rows const& b, std::int32_t experts) {
  auto const leading = [&](rows const& held) {
    std::vector<host_set> sets(static_cast<std::size_t>(experts));
    for (std::size_t r = 0; r < held.size(); ++r)
      for (expert_id const e : held[r])
        if (sets[e.index()].empty() || sets[e.index()].back() != rank_id{r})
          sets[e.index()].push_back(r);
    std::size_t least = sets[0].size();
    for (auto const& set : sets) least = std::min(least, set.size());
    std::erase_if(sets, [&](host_set const& set) { return set.size() > least; });
    std::sort(sets.begin(), sets.end());
    return std::pair(
        least, static_cast<std::size_t>(std::unique(sets.begin(), sets.end()) - sets.begin()));
  };
  auto const x = leading(a), y = leading(b);
  return x.first > y.first || (x.first == y.first && x.second < y.second);
}

SHUNT_CONSTEXPR void lazarus::keep_near(expert_layers const& problem, layer_id l, rows& held) {
  auto const before = problem.previous_of(l);
  std::vector<std::size_t> first(held.size() + 1, 0);
  for (std::size_t r = 0; r < held.size(); ++r) first[r + 1] = first[r] + held[r].size();
  struct pair {
    std::int32_t common = 0;
    std::size_t rank = 0, row = 0;
  };
  std::vector<pair> pairs;
  std::vector<std::size_t> had(static_cast<std::size_t>(problem.experts), held.size());
  for (std::size_t r = 0; r < held.size(); ++r) {
    for (expert_id const e : before.subspan(first[r], first[r + 1] - first[r]))
      if (e != expert_id{-1}) had[e.index()] = r;
    for (std::size_t row = 0; row < held.size(); ++row) {
      if (held[r].size() != held[row].size()) continue;
      std::int32_t common = 0;
      for (std::size_t i = 0; i < held[row].size(); ++i)
        common += had[held[row][i].index()] == r && (i == 0 || held[row][i] != held[row][i - 1]);
      pairs.push_back({common, r, row});
    }
  }
  std::sort(pairs.begin(), pairs.end(), [](pair const& a, pair const& b) {
    return a.common > b.common ||
           (a.common == b.common && (a.rank < b.rank || (a.rank == b.rank && a.row < b.row)));
  });
  rows kept(held.size());
  std::vector<char> rank_done(held.size(), 0), row_done(held.size(), 0);
  for (auto const& p : pairs) {
    if (rank_done[p.rank] != 0 || row_done[p.row] != 0) continue;
    rank_done[p.rank] = row_done[p.row] = 1;
    kept[p.rank] = held[p.row];
  }
  held = std::move(kept);
}

}  // namespace shunt
