#pragma once
#include "shunt/solve/author/experts.hpp"

#include <cstddef>
#include <numeric>
#include <string>
#include <utility>

#include "shunt/core/id.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/measure/imbalance.hpp"
#include "shunt/measure/placement_bounds.hpp"
#include "shunt/plan/mismatch.hpp"

namespace shunt {

SHUNT_CONSTEXPR solution<expert_placement> unplaced(expert_layers const& problem) {
  solution<expert_placement> answer;
  if (problem.slots() < problem.experts) {
    answer.status = status::infeasible;
    answer.reason = "slots_per_rank: " + std::to_string(problem.slots()) + " slots for " +
                    std::to_string(problem.experts) + " experts";
    return answer;
  }
  answer.plan.layers = problem.layers;
  answer.plan.experts = problem.experts;
  answer.plan.first_slot.resize(problem.slots_per_rank.size() + 1);
  std::partial_sum(problem.slots_per_rank.begin(), problem.slots_per_rank.end(),
                   answer.plan.first_slot.begin() + 1);
  answer.plan.expert_of.resize(static_cast<std::size_t>(problem.layers) *
                               static_cast<std::size_t>(problem.slots()));
  return answer;
}

SHUNT_CONSTEXPR solution<expert_placement> evaluated(expert_layers const& problem,
                                                     expert_placement plan) {
  solution<expert_placement> answer;
  if (auto const wrong = mismatch(problem, plan); !wrong.empty()) {
    answer.status = status::infeasible;
    answer.reason = wrong;
    answer.plan = std::move(plan);
    return answer;
  }
  answer.objective = mean_max_over_mean(problem, plan);
  for (layer_id l : ids<layer_id>(problem.layers))
    answer.lower_bound += max_over_mean_bound(problem, l);
  answer.lower_bound /= problem.layers;
  auto const rounding = answer.lower_bound * 1e-12;
  if (answer.objective <= answer.lower_bound + rounding &&
      answer.objective >= answer.lower_bound - rounding) {
    answer.objective = answer.lower_bound;
    answer.status = status::optimal;
  }
  answer.plan = std::move(plan);
  return answer;
}

}  // namespace shunt
