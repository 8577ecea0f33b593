#pragma once
#include "shunt/solve/pipeline/oobleck_batch.hpp"

#include <algorithm>
#include <cstddef>
#include <map>
#include <string>

#include "shunt/core/config.hpp"
#include "shunt/core/error.hpp"
#include "shunt/core/text.hpp"
#include "shunt/measure/template_times.hpp"
#include "shunt/solve/pipeline/search/batch_search.hpp"

namespace shunt {

SHUNT_INLINE solution<batch_split> oobleck_batch::operator()(batch_problem const& problem) const {
  validate(problem);
  solution<batch_split> answer{.plan = {}, .status = status::infeasible};
  std::int64_t pipelines = 0;
  for (auto const& used : problem.templates) pipelines += used.count;
  bool const equal = alike || objective == batch_objective::published;
  if (pipelines > problem.batch)
    answer.reason = text("batch: ") + text::of(problem.batch) + " micro-batches are fewer than " +
                    text::of(pipelines) + " pipelines";
  else if (equal && !detail::batch_is_representable(problem))
    answer.reason = text("batch: no equal numbers of micro-batches for the pipelines of each "
                         "template make ") +
                    text::of(problem.batch);
  if (!answer.reason.empty()) return answer;
  std::vector<std::int64_t> each;
  if (objective == batch_objective::published) {
    detail::squares_search search(problem);
    each = search.find();
    answer.objective = search.objective();
  } else {
    detail::makespan_table times(problem.templates);
    if (equal)
      each = detail::fastest_alike(problem, times);
    else
      answer.plan.microbatches = detail::fastest_split(problem, times);
  }
  for (std::size_t k = 0; k < each.size(); ++k)
    answer.plan.microbatches.emplace_back(static_cast<std::size_t>(problem.templates[k].count),
                                          each[k]);
  if (objective == batch_objective::makespan)
    answer.objective = iteration_time(problem, answer.plan, objective);
  answer.lower_bound = answer.objective;
  answer.status = status::optimal;
  return answer;
}

SHUNT_INLINE double iteration_time(batch_problem const& problem, batch_split const& split,
                                   batch_objective objective) {
  double longest = 0;
  for (std::size_t k = 0; k < problem.templates.size(); ++k) {
    auto const& used = problem.templates[k];
    auto const& each = split.microbatches[k];
    if (each.empty()) continue;
    auto const most = *std::max_element(each.begin(), each.end());
    longest = std::max(longest, objective == batch_objective::published
                                    ? used.time * static_cast<double>(most)
                                    : one_f_one_b_makespan(used.stages, most));
  }
  return longest;
}

SHUNT_INLINE batch_problem batch_over(template_problem const& problem,
                                      template_set const& templates,
                                      std::span<std::int32_t const> nodes, std::int64_t batch) {
  std::map<std::int32_t, std::int32_t> counts;
  for (auto const n : nodes) ++counts[n];
  batch_problem all{.templates = {}, .batch = batch};
  for (auto const& [n, count] : counts) {
    auto const* const found = templates.of(n);
    if (!found)
      throw invalid_problem("templates", "there is none for " + std::to_string(n) + " nodes");
    all.templates.push_back({count, found->time, stage_times(problem, found->stages)});
  }
  return all;
}

}  // namespace shunt
