#pragma once
#include "shunt/solve/experts/eplb.hpp"

#include <algorithm>
#include <cstddef>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "shunt/core/indexed.hpp"
#include "shunt/measure/placement_bounds.hpp"
#include "shunt/solve/author/experts.hpp"
#include "shunt/solve/experts/search/eplb_rule.hpp"
#include "shunt/solve/experts/search/group_packing.hpp"

namespace shunt {

SHUNT_CONSTEXPR solution<expert_placement> eplb::operator()(expert_layers const& problem) const {
  validate(problem);
  auto answer = unplaced(problem);
  if (!answer.has_plan()) return answer;
  if (problem.groups > 0 && problem.nodes() > 1 &&
      (keep_groups || problem.groups % problem.nodes() == 0))
    return hierarchical(problem, std::move(answer));
  detail::eplb_rule rule(problem.experts, problem.slots_per_rank);
  std::vector<expert_id> names(static_cast<std::size_t>(problem.experts));
  for (std::size_t e = 0; e < names.size(); ++e) names[e] = e;
  auto const live = static_cast<std::int32_t>(
      std::ranges::count_if(problem.slots_per_rank, [](std::int32_t s) { return s > 0; }));
  for (layer_id l : ids<layer_id>(problem.layers)) {
    rule(problem.loads_of(l), names, answer.plan.layer(l));
    answer.objective += max_over_mean_of(rule, live);
    answer.lower_bound += bound_of(rule, problem, l, live);
  }
  answer.objective /= problem.layers;
  answer.lower_bound /= problem.layers;
  if (answer.objective <= answer.lower_bound * (1 + 1e-12)) {
    answer.objective = answer.lower_bound;
    answer.status = status::optimal;
  }
  return answer;
}

SHUNT_CONSTEXPR double eplb::max_over_mean_of(detail::eplb_rule const& rule, std::int32_t live) {
  if (rule.total() == 0) return 1;
  return std::max(1.0,
                  std::ranges::max(rule.rank_loads()) * live / static_cast<double>(rule.total()));
}

SHUNT_CONSTEXPR double eplb::bound_of(detail::eplb_rule const& rule, expert_layers const& problem,
                                      layer_id l, std::int32_t live) {
  // no share is above the mean rank load, by more than what was rounded
  if (rule.largest_share() * live < static_cast<double>(rule.total()) * (1 - 1e-9)) return 1;
  return max_over_mean_bound(problem.loads_of(l), problem.slots(), live);
}

SHUNT_CONSTEXPR solution<expert_placement> eplb::hierarchical(expert_layers const& problem,
                                                              solution<expert_placement> answer) {
  detail::group_packing packing(problem);
  struct node {
    std::int32_t experts = 0;
    std::vector<detail::eplb_rule> rule{};  // at most one
    std::vector<std::int64_t> loads{};
    std::vector<expert_id> names{};
  };
  std::vector<node> nodes(static_cast<std::size_t>(problem.nodes()));
  auto const per_node = static_cast<std::size_t>(problem.ranks_per_node);
  for (layer_id l : ids<layer_id>(problem.layers)) {
    auto const loads = problem.loads_of(l);
    auto const node_of = packing(loads);
    if (node_of.empty()) {
      answer.plan = {};
      answer.status = status::infeasible;
      answer.reason = "groups: no node has slots for a whole group of layer " +
                      std::to_string(l.value()) + "; without groups, experts may go to any node";
      return answer;
    }
    for (node& n : nodes) {
      n.loads.clear();
      n.names.clear();
    }
    for (std::size_t e = 0; e < loads.size(); ++e) {
      node& n = nodes[node_of[packing.group_of(e)]];
      n.loads.push_back(loads[e]);
      n.names.push_back(e);
    }
    for (std::size_t i = 0; i < nodes.size(); ++i) {
      node& n = nodes[i];
      auto const ranks =
          std::span(problem.slots_per_rank)
              .subspan(i * per_node,
                       std::min(per_node, problem.slots_per_rank.size() - i * per_node));
      auto const first = static_cast<std::size_t>(answer.plan.first_slot[i * per_node]);
      auto const slots =
          answer.plan.layer(l).subspan(first, static_cast<std::size_t>(packing.slots()[i]));
      // more nodes than groups: the node holds only copies of the first expert
      if (n.names.empty()) {
        std::fill(slots.begin(), slots.end(), expert_id{0});
        continue;
      }
      if (n.rule.empty() || n.experts != static_cast<std::int32_t>(n.names.size())) {
        n.experts = static_cast<std::int32_t>(n.names.size());
        n.rule.assign(1, detail::eplb_rule(n.experts, ranks));
      }
      n.rule[0](n.loads, n.names, slots);
    }
  }
  return evaluated(problem, std::move(answer.plan));
}

}  // namespace shunt
