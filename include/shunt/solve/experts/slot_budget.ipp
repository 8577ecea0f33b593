#pragma once
#include "shunt/solve/experts/slot_budget.hpp"

#include <algorithm>
#include <cstddef>
#include <numeric>
#include <string>

#include "shunt/core/error.hpp"
#include "shunt/core/units.hpp"
#include "shunt/measure/placement_bounds.hpp"

namespace shunt::detail {

SHUNT_CONSTEXPR std::vector<std::int64_t> least_sum(
    std::vector<std::vector<std::int64_t>> const& tokens, std::int64_t spare) {
  std::size_t useful = 0;
  for (auto const& t : tokens) useful += t.size() - 1;
  auto const width = std::min(useful, static_cast<std::size_t>(spare)) + 1;
  std::vector<std::int64_t> best(width, 0),
      next(width, 0);  // of the layers so far, with at most n slots
  std::vector<std::int32_t> chosen(tokens.size() * width, 0);
  for (std::size_t l = 0; l < tokens.size(); ++l) {
    std::fill(next.begin(), next.end(), unknown);
    std::int64_t least = unknown;
    for (std::size_t k = 0; k < tokens[l].size() && k < width; ++k) {
      if (tokens[l][k] >= least) continue;  // fewer slots do as well
      least = tokens[l][k];
      for (std::size_t n = k; n < width; ++n)
        if (best[n - k] != unknown && best[n - k] + least < next[n]) {
          next[n] = best[n - k] + least;
          chosen[l * width + n] = static_cast<std::int32_t>(k);
        }
    }
    best.swap(next);
  }
  std::size_t left = width - 1;
  while (left > 0 && best[left - 1] == best[left]) --left;
  std::vector<std::int64_t> more(tokens.size(), 0);
  for (std::size_t l = tokens.size(); l-- > 0;) {
    more[l] = chosen[l * width + left];
    left -= static_cast<std::size_t>(more[l]);
  }
  return more;
}

SHUNT_CONSTEXPR layer_slots deal_layers(std::int32_t experts, std::vector<std::int64_t> left,
                                        std::span<std::int64_t const> more) {
  layer_slots plan{.ranks = static_cast<std::int32_t>(left.size())};
  std::int64_t all = std::accumulate(left.begin(), left.end(), std::int64_t{0});
  std::vector<std::size_t> order(left.size());
  for (std::int64_t const extra : more) {
    std::int64_t const wanted = experts + extra;
    std::vector<std::int64_t> here(left.size(), 0);
    std::int64_t given = 0;
    for (std::size_t r = 0; r < left.size(); ++r) given += here[r] = wanted * left[r] / all;
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
      std::int64_t const rest_a = wanted * left[a] % all, rest_b = wanted * left[b] % all;
      return rest_a != rest_b ? rest_a > rest_b : a < b;
    });
    for (std::size_t i = 0; given < wanted; ++i, ++given) ++here[order[i]];
    for (std::size_t r = 0; r < left.size(); ++r) {
      left[r] -= here[r];
      plan.slots.push_back(static_cast<std::int32_t>(here[r]));
    }
    all -= wanted;
  }
  return plan;
}

}  // namespace shunt::detail

namespace shunt {

SHUNT_CONSTEXPR solution<layer_slots> slot_budget::operator()(expert_layers const& problem) const {
  validate(problem);
  auto const memory_of = slots_of_ranks(problem);
  std::int64_t const all = std::accumulate(memory_of.begin(), memory_of.end(), std::int64_t{0});
  std::int64_t const spare = all - std::int64_t{problem.layers} * problem.experts;
  solution<layer_slots> answer;
  if (spare < 0) {
    answer.status = status::infeasible;
    answer.reason = "memory: " + std::to_string(all) + " slots for " +
                    std::to_string(problem.layers) + " layers x " +
                    std::to_string(problem.experts) + " experts";
    return answer;
  }
  auto const live = static_cast<std::int32_t>(
      std::count_if(memory_of.begin(), memory_of.end(), [](auto m) { return m > 0; }));
  std::vector<std::vector<std::int64_t>> bounds;
  for (layer_id l : ids<layer_id>(problem.layers))
    bounds.push_back(fullest_rank_bounds(problem.loads_of(l),
                                         std::min(problem.experts + spare, most_slots), live));
  std::int64_t most = 0;
  for (auto const& b : bounds) {
    auto const all_of_them = checked_add(most, b[0]);
    if (!all_of_them) throw invalid_problem("loads", "add up beyond 63 bits over the layers");
    most = *all_of_them;
  }
  auto more = detail::least_sum(bounds, spare);
  std::int64_t sum = 0;
  for (std::size_t l = 0; l < bounds.size(); ++l)
    sum += bounds[l][static_cast<std::size_t>(more[l])];
  give_the_rest(problem, live, spare - std::accumulate(more.begin(), more.end(), std::int64_t{0}),
                more);
  answer.plan = detail::deal_layers(problem.experts, memory_of, more);
  answer.objective = answer.lower_bound = static_cast<double>(sum);
  answer.status = status::optimal;
  return answer;
}

SHUNT_CONSTEXPR std::vector<std::int64_t> slot_budget::slots_of_ranks(
    expert_layers const& problem) const {
  std::vector<std::int64_t> each;
  if (!memory.empty() && memory.size() != problem.slots_per_rank.size())
    throw invalid_problem("memory", "has " + std::to_string(memory.size()) + " values for " +
                                        std::to_string(problem.ranks()) + " ranks");
  for (std::size_t r = 0; r < problem.slots_per_rank.size(); ++r) {
    each.push_back(memory.empty() ? std::int64_t{problem.slots_per_rank[r]} * problem.layers
                                  : memory[r]);
    if (each.back() < 0)
      throw invalid_problem("memory[" + std::to_string(r) + "]",
                            "must be at least 0, is " + std::to_string(memory[r]));
  }
  if (std::accumulate(each.begin(), each.end(), std::int64_t{0}) > most_slots)
    throw invalid_problem("memory", "adds up beyond 31 bits");
  return each;
}

SHUNT_CONSTEXPR void slot_budget::give_the_rest(expert_layers const& problem, std::int32_t live,
                                                std::int64_t rest,
                                                std::vector<std::int64_t>& more) {
  struct entry {
    double share;  ///< w_e / c_e
    std::size_t layer;
    std::int64_t load;
    std::int32_t copies;
    constexpr bool operator<(entry const& other) const {
      return share < other.share || (share == other.share && layer > other.layer);
    }
  };
  std::vector<entry> heap, one;
  auto const raise = [](std::vector<entry>& entries) {
    std::pop_heap(entries.begin(), entries.end());
    auto& top = entries.back();
    top.share = static_cast<double>(top.load) / ++top.copies;
    std::push_heap(entries.begin(), entries.end());
  };
  for (layer_id l : ids<layer_id>(problem.layers)) {
    one.clear();
    for (auto const load : problem.loads_of(l))
      one.push_back({static_cast<double>(load), l.index(), load, 1});
    std::make_heap(one.begin(), one.end());
    for (std::int64_t k = 0; k < more[l.index()]; ++k) raise(one);
    heap.insert(heap.end(), one.begin(), one.end());
  }
  std::make_heap(heap.begin(), heap.end());
  while (rest > 0 && !heap.empty()) {
    if (heap.front().copies < live) {
      ++more[heap.front().layer];
      raise(heap);
      --rest;
    } else {
      std::pop_heap(heap.begin(), heap.end());
      heap.pop_back();
    }
  }
}

}  // namespace shunt
