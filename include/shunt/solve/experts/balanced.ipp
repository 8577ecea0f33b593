#pragma once
#include "shunt/solve/experts/balanced.hpp"

#include <limits>

#include "shunt/measure/placement_bounds.hpp"
#include "shunt/solve/experts/search/exact_layer.hpp"
#include "shunt/solve/experts/search/group_packing.hpp"
#include "shunt/solve/experts/search/placement_search.hpp"
#include "shunt/solve/experts/swift_moe.hpp"

namespace shunt {

// The live ranks of a node, and a search constructed for the node's number of experts.
struct balanced::node {
  std::size_t first_rank = 0;
  std::vector<std::int32_t> slots{};  // of its ranks
  std::vector<std::int64_t> loads{};
  std::vector<expert_id> names{};
  std::vector<detail::placement_search> made{};  // at most one
  std::size_t made_for = 0;
  std::int64_t total = 0;
  std::int32_t live = 0;
};

constexpr solution<expert_placement> balanced::search(expert_layers const& problem,
                                                      auto const& stopped) const {
  if (effort < 0)
    throw invalid_problem("effort", "must be at least 0, is " + std::to_string(effort));
  if (!(tolerance >= 0)) throw invalid_problem("tolerance", "must be at least 0");
  auto answer = quick(problem);
  if (!answer.has_plan()) return answer;
  bool const grouped = problem.groups > 0 && problem.nodes() > 1;
  auto const per_node =
      grouped ? static_cast<std::size_t>(problem.ranks_per_node) : problem.slots_per_rank.size();
  std::vector<node> nodes;
  for (std::size_t r = 0; r < problem.slots_per_rank.size(); ++r) {
    if (r % per_node == 0) nodes.push_back({.first_rank = r});
    nodes.back().slots.push_back(problem.slots_per_rank[r]);
    nodes.back().live += problem.slots_per_rank[r] > 0;
  }
  std::vector<detail::group_packing> packing;  // at most one
  if (grouped) packing.push_back(detail::group_packing(problem));
  std::vector<std::size_t> node_of(grouped ? static_cast<std::size_t>(problem.groups) : 0, 0);

  expert_placement tried = answer.plan;
  for (layer_id l : ids<layer_id>(problem.layers)) {
    if (stopped()) break;
    if (grouped) {
      auto const packed = packing[0](problem.loads_of(l));
      node_of.assign(packed.begin(), packed.end());
      even_out(packing[0], nodes, node_of);
    }
    double const known = max_over_mean(problem.loads_of(l), answer.plan, l);
    if (!place_layer(problem, l, known, packing, node_of, nodes, tried)) continue;
    take_better(problem, l, tried, answer.plan);
  }
  return evaluated(problem, std::move(answer.plan));
}

SHUNT_CONSTEXPR solution<expert_placement> balanced::operator()(
    expert_layers const& problem) const {
  return search(problem, [] { return false; });
}

SHUNT_INLINE solution<expert_placement> balanced::operator()(expert_layers const& problem,
                                                             std::stop_token const& stop) const {
  return search(problem, [&] { return stop.stop_requested(); });
}

SHUNT_CONSTEXPR solution<expert_placement> balanced::quick(expert_layers const& problem) const {
  auto answer = eplb{.keep_groups = true}(problem);
  bool const grouped = problem.groups > 0 && problem.nodes() > 1;
  if (!answer.has_plan() || grouped || !repeats) return answer;
  auto const other = swift_moe{}(problem).plan;
  for (layer_id l : ids<layer_id>(problem.layers)) take_better(problem, l, other, answer.plan);
  return answer;
}

SHUNT_CONSTEXPR void balanced::take_better(expert_layers const& problem, layer_id l,
                                           expert_placement const& tried,
                                           expert_placement& best) const {
  auto const loads = problem.loads_of(l);
  double const now = max_over_mean(loads, tried, l), before = max_over_mean(loads, best, l);
  std::int32_t const more = hosted_pairs(tried, l) - hosted_pairs(best, l);
  if (repeats ? now < before || (now == before && more > 0)
              : more > 0 || (more == 0 && now <= before))
    std::copy(tried.layer(l).begin(), tried.layer(l).end(), best.layer(l).begin());
}

SHUNT_CONSTEXPR void balanced::even_out(detail::group_packing const& packing,
                                        std::span<node const> nodes,
                                        std::span<std::size_t> node_of) {
  auto const groups = node_of.size();
  std::vector<double> fill(nodes.size(), 0);
  auto const weight = [&](std::size_t g, std::size_t n) {
    return static_cast<double>(packing.group_loads()[g]) / nodes[n].live;
  };
  for (;;) {
    std::fill(fill.begin(), fill.end(), 0.0);
    for (std::size_t g = 0; g < groups; ++g) fill[node_of[g]] += weight(g, node_of[g]);
    auto const fullest =
        static_cast<std::size_t>(std::max_element(fill.begin(), fill.end()) - fill.begin());
    double least = fill[fullest] * (1 - 1e-12);
    std::size_t out = groups, in = groups;
    for (std::size_t g = 0; g < groups; ++g)
      for (std::size_t h = 0; node_of[g] == fullest && h < groups; ++h) {
        std::size_t const n = node_of[h];
        if (n == fullest || packing.sizes()[g] != packing.sizes()[h]) continue;
        double const after = std::max(fill[fullest] - weight(g, fullest) + weight(h, fullest),
                                      fill[n] + weight(g, n) - weight(h, n));
        if (after < least) {
          least = after;
          out = g;
          in = h;
        }
      }
    if (out == groups) return;
    std::swap(node_of[out], node_of[in]);
  }
}

SHUNT_CONSTEXPR bool balanced::place_layer(expert_layers const& problem, layer_id l, double known,
                                           std::span<detail::group_packing const> packing,
                                           std::span<std::size_t const> node_of,
                                           std::span<node> nodes, expert_placement& plan) const {
  auto const loads = problem.loads_of(l);
  for (node& n : nodes) {
    n.loads.clear();
    n.names.clear();
    n.total = 0;
  }
  std::int64_t total = 0;
  std::int32_t live = 0;
  for (std::size_t e = 0; e < loads.size(); ++e) {
    node& n = nodes[packing.empty() ? 0 : node_of[packing[0].group_of(e)]];
    n.loads.push_back(loads[e]);
    n.names.push_back(e);
    n.total += loads[e];
    total += loads[e];
  }
  std::vector<std::size_t> order(nodes.size());
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    order[i] = i;
    live += nodes[i].live;
  }
  auto const fill = [&](std::size_t i) {
    return nodes[i].live == 0 ? 0 : static_cast<double>(nodes[i].total) / nodes[i].live;
  };
  std::sort(order.begin(), order.end(),
            [&](auto a, auto b) { return fill(a) > fill(b) || (fill(a) == fill(b) && a < b); });
  double const mean = static_cast<double>(total) / live, bound = max_over_mean_bound(problem, l);
  // below the other solvers' by more than what scaling rounds, lest their repeats stand
  known = std::max(bound, known * (1 - 1e-6)) * mean;
  double enough = std::min((1 + tolerance) * bound * mean, known);  // tokens of a rank
  for (std::size_t const i : order) {
    node& n = nodes[i];
    if (n.names.empty()) continue;  // keeps the slots of eplb
    auto const [found, fullest] = place_node(n, plan, l, known, enough);
    if (!found) return false;
    enough = std::max(enough, fullest);
  }
  return true;
}

SHUNT_CONSTEXPR std::pair<bool, double> balanced::place_node(node& n, expert_placement& plan,
                                                             layer_id l, double known,
                                                             double enough) const {
  auto const experts = static_cast<std::int32_t>(n.names.size());
  std::int32_t sum = 0, slots = 0;
  for (auto const s : n.slots) {
    slots += s;
    sum += std::min(s, experts);
  }
  double const mean = n.total == 0 ? 1 : static_cast<double>(n.total) / n.live;
  double const bound = max_over_mean_bound(n.loads, slots, n.live),
               goal = std::max(bound, std::min(bound * (1 + tolerance), known / mean));
  auto const put = [&](std::size_t r, std::int32_t k, std::size_t e) {
    plan.layer(l)[static_cast<std::size_t>(plan.first_slot[n.first_rank + r] + k)] = n.names[e];
  };

  double fullest = std::numeric_limits<double>::infinity();
  if (slots >= experts && slots <= exact_slots) {
    // In a vector: nvcc does not take the class for a literal type.
    std::vector<detail::exact_layer> searches;
    searches.emplace_back(n.loads, n.slots, repeats);
    auto& exact = searches.front();
    exact(fullest, std::max(goal * mean, enough), effort / 2);
    std::size_t next = 0;
    for (std::size_t r = 0; r < n.slots.size() && !exact.found().empty(); ++r)
      for (std::int32_t k = 0; k < n.slots[r]; ++k) put(r, k, exact.found()[next++]);
    fullest = exact.best();
    if (exact.finished() && !exact.found().empty()) return {true, fullest};
  }

  if (sum < experts || std::int64_t{experts} * n.live > most_pairs) return {false, 0};
  if (n.made.empty() || n.made_for != n.names.size()) {
    std::vector<std::int32_t> usable;
    for (auto const s : n.slots)
      if (s > 0) usable.push_back(std::min(s, experts));
    n.made.assign(1, detail::placement_search(experts, usable));
    n.made_for = n.names.size();
  }
  auto& search = n.made[0];
  if (!search(n.loads, slots <= exact_slots ? effort - effort / 2 : effort, goal, enough / mean,
              seed))
    return {fullest < std::numeric_limits<double>::infinity(), fullest};
  if (search.fullest() * mean >= fullest) return {true, fullest};
  auto const coldest =
      static_cast<std::size_t>(std::min_element(n.loads.begin(), n.loads.end()) - n.loads.begin());
  std::size_t next = 0;
  for (std::size_t r = 0; r < n.slots.size(); ++r)
    for (std::int32_t k = 0; k < n.slots[r]; ++k)
      put(r, k, k < experts ? search.placed()[next++] : coldest);
  return {true, search.fullest() * mean};
}

}  // namespace shunt
