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

// Under a custom layout: a linear one with other numbers.
SHUNT_CONSTEXPR bool has_a_rank_per_worker(pipeline_job const& job) {
  return job.layout.form() == stage_layout::shape::custom && job.ranks() == job.workers();
}

SHUNT_CONSTEXPR bool pipelines_are_equal(pipeline_job const& job) {
  auto const shape = job.layout.form();
  bool const apart = shape == stage_layout::shape::linear || shape == stage_layout::shape::looped ||
                     shape == stage_layout::shape::wave || has_a_rank_per_worker(job);
  return job.dead.empty() && !job.uneven() && apart && job.transfer.alike() &&
         job.microbatches.uniform() && job.memory.rule != stash_cap::kind::per_rank;
}

SHUNT_CONSTEXPR pipeline_job first_pipeline(pipeline_job job) {
  job.microbatches = job.microbatches[0];
  if (has_a_rank_per_worker(job)) job.layout = stage_layout::linear();
  job.pipelines = 1;
  return job;
}

SHUNT_CONSTEXPR pipeline_schedule copied_to_all(pipeline_job const& job,
                                                pipeline_schedule const& first) {
  auto const ranks = static_cast<std::int32_t>(first.order.size());
  pipeline_schedule all{
      .order = indexed<rank_id, std::vector<operation>>(static_cast<std::size_t>(job.ranks())),
      .staggered_step = first.staggered_step};
  if (!first.overlapped.empty()) all.overlapped.resize(all.order.size());
  for (pipeline_id p : ids<pipeline_id>(job.pipelines))
    for (rank_id i : ids<rank_id>(ranks)) {
      rank_id const r = has_a_rank_per_worker(job) ? job.rank_of({p, i.value()})
                                                   : rank_id{p.value() * ranks + i.value()};
      all.order[r] = first.order[i];
      for (operation& o : all.order[r])
        if (o.kind != op_kind::step) o.pipeline = p;
      if (!first.overlapped.empty()) all.overlapped[r] = first.overlapped[i];
    }
  return all;
}

}  // namespace shunt::detail
