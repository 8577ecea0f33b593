#pragma once
#include "shunt/solve/experts/capacity_split.hpp"

#include <string>
#include <utility>

#include "shunt/core/indexed.hpp"
#include "shunt/solve/experts/search/split_rule.hpp"

namespace shunt {

SHUNT_CONSTEXPR solution<token_split> capacity_split::operator()(
    routed_tokens const& problem) const {
  validate(problem);
  solution<token_split> answer;
  detail::split_rule rule(problem.first_slot, problem.experts);
  rule(problem.counts, problem.expert_of, problem.capacity, answer.plan);
  std::int64_t all = 0;
  for (expert_id e : ids<expert_id>(problem.experts)) {
    std::int64_t dropped = 0;
    for (rank_id r : ids<rank_id>(problem.ranks())) dropped += answer.plan.drops(r, e);
    all += dropped;
    if (dropped > 0 && problem.capacity == dropless) {
      answer.plan = {};
      answer.status = status::infeasible;
      answer.reason = "expert_of: expert " + std::to_string(e.value()) + " has " +
                      std::to_string(dropped) + " tokens and no slot";
      return answer;
    }
  }
  answer.objective = answer.lower_bound = static_cast<double>(all);
  answer.status = status::optimal;
  return answer;
}

SHUNT_CONSTEXPR routed_tokens routed(expert_placement const& placement, layer_id layer,
                                     std::vector<std::int64_t> counts, std::int64_t capacity) {
  auto const slots = placement.layer(layer);
  return {.experts = placement.experts,
          .counts = std::move(counts),
          .first_slot = placement.first_slot,
          .expert_of = std::vector<expert_id>(slots.begin(), slots.end()),
          .capacity = capacity};
}

}  // namespace shunt
