#pragma once
#include "shunt/train/oobleck_policy.hpp"

#include <algorithm>
#include <cstddef>
#include <utility>
#include <vector>

#include "shunt/core/config.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/core/text.hpp"
#include "shunt/problem/pipeline_losses.hpp"
#include "shunt/problem/template_problem.hpp"
#include "shunt/solve/pipeline/oobleck_batch.hpp"
#include "shunt/solve/pipeline/oobleck_reconfigure.hpp"
#include "shunt/solve/pipeline/oobleck_templates.hpp"

namespace shunt {

SHUNT_INLINE solution<arrangement> oobleck_rule::operator()(situation const& s) const {
  solution<arrangement> answer{.plan = {}, .status = status::infeasible};
  pipeline_losses losses{.pipelines = {}, .lost = {}, .minimum = minimum};
  for (auto ranks : workers_of(s.now)) {
    ranks.erase(std::unique(ranks.begin(), ranks.end()), ranks.end());
    for (rank_id const r : ranks)
      if (s.is_dead(r)) losses.lost.push_back(r);
    losses.pipelines.push_back(std::move(ranks));
  }
  auto const next = oobleck_reconfigure{}(losses);
  if (!next.has_plan()) {
    answer.reason = next.reason;
    return answer;
  }
  auto const layers = s.start.stages;
  template_problem problem{.layers = {}, .nodes = 1};
  for (stage_id const layer : ids<stage_id>(layers))
    problem.layers.push_back(
        {.forward = static_cast<double>(s.start.costs.forward[layer]),
         .backward = static_cast<double>(s.start.costs.backward_input[layer] +
                                         s.start.costs.backward_weight[layer])});
  std::vector<std::int32_t> nodes;
  for (auto const& ranks : next.plan.pipelines) {
    nodes.push_back(static_cast<std::int32_t>(ranks.size()));
    problem.nodes = std::max(problem.nodes, nodes.back());
  }
  if (problem.nodes > layers) {
    answer.reason = text("a pipeline of ") + text::of(problem.nodes) + " ranks has only " +
                    text::of(layers) + " layers";
    return answer;
  }
  auto const templates = oobleck_templates{.cost = template_cost::simulated}(problem);
  if (!templates.has_plan()) {
    answer.reason = templates.reason;
    return answer;
  }
  auto const batch =
      oobleck_batch{}(batch_over(problem, templates.plan, nodes, s.start.total_microbatches()));
  if (!batch.has_plan()) {
    answer.reason = batch.reason;
    return answer;
  }
  worker_ranks workers;
  for (auto const& ranks : next.plan.pipelines) {
    auto& of_layer = workers.emplace_back(static_cast<std::size_t>(layers));
    auto const& stages = templates.plan.of(std::ssize(ranks))->stages;
    for (std::size_t i = 0; i < stages.size(); ++i)
      for (auto layer = stages[i].first; layer < stages[i].end; ++layer)
        of_layer[static_cast<std::size_t>(layer)] = ranks[i];
  }
  std::vector<std::int32_t> counts;  // pipelines ascend in length, as templates do
  for (auto const& alike : batch.plan.microbatches)
    for (auto const n : alike) counts.push_back(static_cast<std::int32_t>(n));
  answer.plan = arranged(s.start, workers, std::move(counts));
  answer.objective = batch.objective;
  answer.status = status::feasible;
  return answer;
}

}  // namespace shunt
