#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <numeric>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "shunt/core/solution.hpp"
#include "shunt/measure/placement_bounds.hpp"
#include "shunt/plan/expert_placement.hpp"
#include "shunt/plan/layer_slots.hpp"
#include "shunt/problem/expert_layers.hpp"
#include "shunt/solve/solver.hpp"

namespace shunt {

namespace detail {

/// Chooses slots per layer by a dynamic program. tokens[l][k]: the cost of layer l with k slots
/// beyond one per expert, or `unknown`.
/// Returns the additional slots of each layer with the least sum of costs and at most `spare` slots
/// in all; of equal sums one with the fewest slots.
/// Requires that an answer exists.
/// Complexity: O(spare x entries).
inline constexpr std::int64_t unknown = std::numeric_limits<std::int64_t>::max();
[[nodiscard]] constexpr std::vector<std::int64_t> least_sum(
    std::span<std::vector<std::int64_t> const> tokens, std::int64_t spare) {
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

/// Returns E + more[l] slots of each layer dealt to ranks, layer by layer in proportion to the rest
/// of their memory.
[[nodiscard]] constexpr layer_slots deal_layers(std::int32_t experts,
                                                std::vector<std::int64_t> left,
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

}  // namespace detail

/// Divides the memory of the ranks among the layers: given M_r slots of rank r for all layers
/// together, chooses S_l slots for each layer, with sum at most the sum of M_r, such that the sum
/// over layers of the fullest rank's tokens is least. Layers run one after another, and each waits
/// for its fullest rank.
/// A layer needs at least fullest_rank_bounds b_l(S_l) tokens, a falling staircase that is not
/// convex; a dynamic program over its steps is exact. Remaining slots go one by one to the layer
/// with the largest share w_e / c_e. Ranks then get their part of each S_l in proportion to the
/// rest of their memory.
/// Objective: the sum of b_l(S_l), in tokens; no slots within the budget have a lower one. The plan
/// contains slots alone; `place_layers` asks a solver for the placements. The previous placement is
/// ignored. Infeasible: fewer slots than experts x layers.
/// See docs/expert-solvers.md.
/// Throws what validate throws; invalid_problem("memory") if it has not one number per rank, from
/// 0, with a sum of at most 31 bits; invalid_problem("loads") if the layers sum beyond 63 bits.
/// Complexity: O(layers^2 x L^2) at most for L live ranks.
/// Reference: CRAFT, arXiv 2603.28768; Graham 1969.
struct slot_budget {
  static constexpr std::string_view name = "slot_budget";

  /// M_r, slots of each rank for all layers together; empty: slots_per_rank times the layers.
  std::vector<std::int32_t> memory{};

  [[nodiscard]] constexpr solution<layer_slots> operator()(expert_layers const& problem) const {
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

  /// Returns M_r.
  /// Throws invalid_problem("memory").
  [[nodiscard]] constexpr std::vector<std::int64_t> slots_of_ranks(
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

 private:
  static constexpr std::int64_t most_slots = (std::int64_t{1} << 31) - 1;

  /// Gives `rest` slots to the layers with the largest shares, while an expert has fewer replicas
  /// than there are ranks.
  static constexpr void give_the_rest(expert_layers const& problem, std::int32_t live,
                                      std::int64_t rest, std::vector<std::int64_t>& more) {
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
};
static_assert(solver_for<slot_budget, expert_layers>);

/// Places each layer with a solver in the slots that it was dealt.
/// Returns the solver's answers, infeasible ones included.
/// Throws what the solver throws.
template <solver_for<expert_layers> Solver>
[[nodiscard]] constexpr std::vector<solution<expert_placement>> place_layers(
    expert_layers const& problem, layer_slots const& dealt, Solver const& solver) {
  std::vector<solution<expert_placement>> placed;
  for (layer_id l : ids<layer_id>(problem.layers))
    placed.push_back(solver(layer_of(problem, dealt, l)));
  return placed;
}

}  // namespace shunt
