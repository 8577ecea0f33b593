#pragma once
#include "shunt/solve/pipeline/oobleck_templates.hpp"

#include <algorithm>
#include <bit>
#include <string>
#include <utility>

#include "shunt/core/config.hpp"
#include "shunt/core/error.hpp"
#include "shunt/core/text.hpp"
#include "shunt/solve/pipeline/search/fastest_template.hpp"
#include "shunt/solve/pipeline/search/template_search.hpp"

namespace shunt {

SHUNT_INLINE solution<template_set> oobleck_templates::operator()(
    template_problem const& problem) const {
  validate(problem);
  if (microbatches_per_node < 1)
    throw invalid_problem("microbatches_per_node",
                          "must be at least 1, is " + std::to_string(microbatches_per_node));
  solution<template_set> answer{.plan = {}, .status = status::infeasible};
  auto const layers = static_cast<std::int64_t>(problem.layers.size());
  auto const least = least_nodes(problem);
  if (!std::has_single_bit(static_cast<std::uint32_t>(problem.gpus)))
    answer.reason = text("gpus: ") + text::of(problem.gpus) +
                    " of a node are no power of two, and stages take halves of halves";
  else if (least > problem.nodes)
    answer.reason = text(least > problem.minimum ? "memory" : "minimum") +
                    ": a pipeline needs at least " + text::of(least) + " nodes, there are " +
                    text::of(problem.nodes);
  else if (least > layers)
    answer.reason = text("layers: ") + text::of(layers) + " are fewer than the stages of " +
                    text::of(least) + " nodes, the smallest template";
  if (!answer.reason.empty()) return answer;
  detail::template_search search(problem);
  for (auto nodes = static_cast<std::int32_t>(least);
       nodes <= std::min<std::int64_t>(problem.nodes, layers); ++nodes) {
    auto found = search.best(nodes);
    if (!found) continue;
    if (cost == template_cost::simulated)
      found = detail::fastest_template(problem, std::move(*found),
                                       std::int64_t{microbatches_per_node} * nodes);
    answer.objective = found->time;
    answer.plan.templates.push_back(std::move(*found));
  }
  answer.status = status::feasible;
  return answer;
}

}  // namespace shunt
