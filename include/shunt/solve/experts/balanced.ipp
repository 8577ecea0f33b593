#pragma once
#include "shunt/solve/experts/balanced.hpp"

#include "shunt/measure/placement_bounds.hpp"

namespace shunt {

SHUNT_CONSTEXPR solution<expert_placement> balanced::operator()(
    expert_layers const& problem) const {
  return search(problem, [] { return false; });
}

SHUNT_INLINE solution<expert_placement> balanced::operator()(expert_layers const& problem,
                                                             std::stop_token const& stop) const {
  return search(problem, [&] { return stop.stop_requested(); });
}

SHUNT_CONSTEXPR std::int32_t balanced::repeats(expert_placement const& plan, layer_id l) {
  return plan.slots() - hosted_pairs(plan, l);
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

SHUNT_CONSTEXPR bool balanced::place_layer(expert_layers const& problem, layer_id l,
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
  // tokens of a rank
  double enough =
      (1 + tolerance) * max_over_mean_bound(problem, l) * static_cast<double>(total) / live;
  for (std::size_t const i : order) {
    node& n = nodes[i];
    if (n.names.empty()) continue;  // keeps eplb's slots
    auto const [found, fullest] = place_node(n, plan, l, enough);
    if (!found) return false;
    enough = std::max(enough, fullest);
  }
  return true;
}

SHUNT_CONSTEXPR std::pair<bool, double> balanced::place_node(node& n, expert_placement& plan,
                                                             layer_id l, double enough) const {
  auto const experts = static_cast<std::int32_t>(n.names.size());
  if (n.made.empty() || n.made_for != n.names.size()) {
    std::vector<std::int32_t> usable;
    std::int32_t sum = 0;
    for (auto const s : n.slots)
      if (s > 0) sum += usable.emplace_back(std::min(s, experts));
    if (sum < experts) return {false, 0};
    n.made.assign(1, detail::placement_search(experts, usable));
    n.made_for = n.names.size();
  }
  auto& search = n.made[0];
  double const mean = n.total == 0 ? 1 : static_cast<double>(n.total) / n.live;
  double const bound =
      max_over_mean_bound(n.loads, static_cast<std::int32_t>(search.placed().size()), n.live);
  if (!search(n.loads, effort, std::max(bound * (1 + tolerance), enough / mean), seed))
    return {false, 0};
  auto const coldest =
      static_cast<std::size_t>(std::min_element(n.loads.begin(), n.loads.end()) - n.loads.begin());
  auto const slots = plan.layer(l);
  std::size_t next = 0;
  for (std::size_t r = 0; r < n.slots.size(); ++r)
    for (std::int32_t k = 0; k < n.slots[r]; ++k) {
      auto const slot = static_cast<std::size_t>(plan.first_slot[n.first_rank + r] + k);
      slots[slot] = n.names[k < experts ? search.placed()[next++] : coldest];
    }
  return {true, search.fullest() * mean};
}

}  // namespace shunt
