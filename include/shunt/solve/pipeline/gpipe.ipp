#pragma once
#include "shunt/solve/pipeline/gpipe.hpp"

#include <cstddef>

#include "shunt/core/id.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/core/operation.hpp"
#include "shunt/problem/stage_layout.hpp"
#include "shunt/solve/author/pipeline.hpp"

namespace shunt {

SHUNT_CONSTEXPR solution<pipeline_schedule> gpipe::operator()(pipeline_job const& job) const {
  validate(job);
  return evaluated(job, order(job));
}

SHUNT_CONSTEXPR pipeline_schedule gpipe::order(pipeline_job const& job) const {
  require_layout(job, name, stage_layout::shape::linear);
  auto schedule = empty_schedule(job, 2 * static_cast<std::size_t>(job.microbatches) + 1);
  for (pipeline_id p : ids<pipeline_id>(job.pipelines))
    for (stage_id s : ids<stage_id>(job.stages)) {
      auto& list = schedule.order[job.rank_of({p, s})];
      for (microbatch_id m : ids<microbatch_id>(job.microbatches))
        list.push_back({op_kind::forward, p, s, m});
      for (microbatch_id m : ids<microbatch_id>(job.microbatches))
        list.push_back({op_kind::backward, p, s, m});
      list.push_back({.kind = op_kind::step, .stage = s});
    }
  return schedule;
}

SHUNT_CONSTEXPR ticks gpipe::bubble(pipeline_job const& job) {
  return (job.stages - 1) * job.costs.microbatch(0);
}

SHUNT_CONSTEXPR std::int64_t gpipe::stash_peak(pipeline_job const& job) {
  return job.microbatches * job.stash.forward[0];
}

}  // namespace shunt
