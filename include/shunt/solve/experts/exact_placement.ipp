#pragma once
#include "shunt/solve/experts/exact_placement.hpp"

#include <algorithm>
#include <string>
#include <utility>

#include "shunt/core/config.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/measure/imbalance.hpp"
#include "shunt/measure/placement_bounds.hpp"
#include "shunt/solve/author/experts.hpp"
#include "shunt/solve/experts/balanced.hpp"
#include "shunt/solve/experts/search/exact_layer.hpp"

namespace shunt {

SHUNT_INLINE solution<expert_placement> exact_placement::operator()(
    expert_layers const& problem) const {
  auto anywhere = problem;
  anywhere.groups = 0;
  auto answer = balanced{}(anywhere);
  if (!answer.has_plan()) return answer;
  auto const live = static_cast<double>(
      std::ranges::count_if(problem.slots_per_rank, [](auto s) { return s > 0; }));
  double proved = 0;
  text reason;
  for (layer_id l : ids<layer_id>(problem.layers)) {
    auto const loads = problem.loads_of(l);
    double total = 0;
    for (auto const x : loads) total += static_cast<double>(x);
    double const known = max_over_mean(loads, answer.plan, l),
                 bound = max_over_mean_bound(problem, l);
    detail::exact_layer search(loads, problem.slots_per_rank, true);
    search(known * total / live, bound * total / live, effort);
    std::copy(search.found().begin(), search.found().end(), answer.plan.layer(l).begin());
    proved += search.finished() ? max_over_mean(loads, answer.plan, l) : bound;
    if (!search.finished() && reason.empty())
      reason = "effort: " + std::to_string(effort) + " nodes ended the search of layer " +
               std::to_string(l.value()) + "; the plan is the best one known";
  }
  answer = evaluated(problem, std::move(answer.plan));
  answer.lower_bound =
      std::max(answer.lower_bound, std::min(answer.objective, proved / problem.layers));
  if (reason.empty()) {
    answer.lower_bound = answer.objective;
    answer.status = status::optimal;
  } else if (answer.status != status::optimal) {
    answer.status = status::limit_reached;
    answer.reason = std::move(reason);
  }
  return answer;
}

}  // namespace shunt
