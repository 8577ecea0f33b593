#pragma once
#include "shunt/solve/pipeline/layer_planner.hpp"

#include <algorithm>
#include <cstddef>
#include <utility>
#include <vector>

#include "shunt/core/config.hpp"
#include "shunt/core/text.hpp"
#include "shunt/measure/layer_bounds.hpp"
#include "shunt/solve/pipeline/search/equal_pipelines.hpp"
#include "shunt/solve/pipeline/search/partition_search.hpp"

namespace shunt::detail {

/// Returns why no plan fits the memory, or nothing where that is not known.
SHUNT_INLINE text beyond_memory(layer_job const& job) {
  if (job.memory == 0) return {};
  byte_count all = 0;
  for (std::size_t l = 0; l < job.layers.size(); ++l) {
    auto const& layer = job.layers[l];
    auto const bytes = layer.state_bytes + std::max<byte_count>(1, layer.activation_bytes);
    all += bytes;
    if (bytes > job.memory)
      return text("layer ") + text::of(static_cast<std::int64_t>(l)) +
             (layer.name.empty() ? std::string() : " (" + layer.name + ")") + " holds " +
             text::of(bytes) + " bytes with one micro-batch, the memory of a rank is " +
             text::of(job.memory);
  }
  if (ceil_divide<byte_count>(all - static_cast<byte_count>(job.layers.size()), job.ranks) >
      job.memory)
    return text("the layers hold ") + text::of(all) +
           " bytes with one micro-batch, the memory of " + text::of(job.ranks) + " ranks is " +
           text::of(job.memory) + " each";
  return {};
}

}  // namespace shunt::detail

namespace shunt {

SHUNT_INLINE solution<layer_partition> layer_planner::operator()(layer_job const& job) const {
  return (*this)(job, std::stop_token{});
}

SHUNT_INLINE solution<layer_partition> layer_planner::operator()(layer_job const& job,
                                                                 std::stop_token stop) const {
  validate(job);
  solution<layer_partition> answer{.status = status::infeasible};
  answer.reason = detail::beyond_memory(job);
  if (!answer.reason.empty()) return answer;
  ticks const bound = makespan_bound(job);
  answer.lower_bound = static_cast<double>(bound);
  layer_job one = job;
  one.pipelines = 1;
  detail::partition_search search(one, bound, effort, std::move(stop));
  search.search(std::max(1, most_chunks), waves, dealt);
  if (search.best() == detail::partition_search::nothing) {
    answer.status = status::limit_reached;
    answer.reason = text("no cut was found whose stages fit the memory, ") + text::of(job.memory) +
                    " bytes a rank";
    return answer;
  }
  answer.plan = search.plan();
  if (job.pipelines > 1) {
    auto layout = answer.plan.job.layout;
    if (layout.form() == stage_layout::shape::custom) {
      std::vector<rank_id> ranks;
      for (std::int32_t p = 0; p < job.pipelines; ++p)
        for (rank_id const r : answer.plan.job.layout.ranks_of_workers())
          ranks.emplace_back(p * job.ranks + r.value());
      layout = stage_layout::custom(std::move(ranks));
    }
    answer.plan.job = pipeline_job_of(job, answer.plan.stages, layout);
    answer.plan.schedule = detail::copied_to_all(answer.plan.job, answer.plan.schedule);
  }
  answer.objective = static_cast<double>(search.best());
  answer.status = search.best() == bound ? status::optimal : status::feasible;
  return answer;
}

}  // namespace shunt
