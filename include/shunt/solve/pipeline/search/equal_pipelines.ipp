#pragma once
#include "shunt/solve/pipeline/search/equal_pipelines.hpp"

#include <utility>
#include <vector>

#include "shunt/core/id.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/core/operation.hpp"
#include "shunt/problem/stage_costs.hpp"
#include "shunt/problem/stage_layout.hpp"

namespace shunt::detail {

SHUNT_CONSTEXPR bool pipelines_are_equal(pipeline_job const& job) {
  auto const shape = job.layout.form();
  bool const apart = shape == stage_layout::shape::linear || shape == stage_layout::shape::looped ||
                     shape == stage_layout::shape::wave;
  bool const equal_links =
      job.transfer.ranks_per_node == 0 || job.transfer.within_node == job.transfer.between_nodes;
  return job.dead.empty() && apart && equal_links && job.memory.rule != stash_cap::kind::per_rank;
}

SHUNT_CONSTEXPR pipeline_job first_pipeline(pipeline_job job) {
  job.pipelines = 1;
  return job;
}

SHUNT_CONSTEXPR pipeline_schedule copied_to_all(pipeline_job const& job,
                                                pipeline_schedule const& first) {
  pipeline_schedule all{.staggered_step = first.staggered_step};
  for (pipeline_id p : ids<pipeline_id>(job.pipelines)) {
    for (auto list : first.order) {
      for (operation& o : list)
        if (o.kind != op_kind::step) o.pipeline = p;
      all.order.push_back(std::move(list));
    }
    for (auto const& pairs : first.overlapped) all.overlapped.push_back(pairs);
  }
  return all;
}

}  // namespace shunt::detail
