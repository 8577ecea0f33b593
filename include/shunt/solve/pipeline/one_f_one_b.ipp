#pragma once
#include "shunt/solve/pipeline/one_f_one_b.hpp"

#include <algorithm>
#include <cstddef>

#include "shunt/core/id.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/core/operation.hpp"
#include "shunt/problem/stage_layout.hpp"
#include "shunt/solve/author/pipeline.hpp"

namespace shunt {

SHUNT_CONSTEXPR solution<pipeline_schedule> one_f_one_b::operator()(pipeline_job const& job) const {
  validate(job);
  return evaluated(job, order(job));
}

SHUNT_CONSTEXPR pipeline_schedule one_f_one_b::order(pipeline_job const& job) const {
  require_layout(job, name, stage_layout::shape::linear);
  auto schedule = empty_schedule(job, 2 * static_cast<std::size_t>(job.microbatches) + 1);
  for (pipeline_id p : ids<pipeline_id>(job.pipelines))
    for (stage_id s : ids<stage_id>(job.stages)) {
      auto& list = schedule.order[job.rank_of({p, s})];
      std::int32_t in_flight = std::min(job.stages - s.value(), job.microbatches);
      if (auto const cap = job.stash_limit(job.rank_of({p, s})))
        in_flight = static_cast<std::int32_t>(
            std::min<std::int64_t>(in_flight, *cap / job.stash.forward[s]));
      std::int32_t forward = 0;
      while (forward < in_flight - 1) list.push_back({op_kind::forward, p, s, forward++});
      for (microbatch_id m : ids<microbatch_id>(job.microbatches)) {
        if (forward < job.microbatches) list.push_back({op_kind::forward, p, s, forward++});
        list.push_back({op_kind::backward, p, s, m});
      }
      list.push_back({.kind = op_kind::step, .stage = s});
    }
  return schedule;
}

SHUNT_CONSTEXPR ticks one_f_one_b::bubble(pipeline_job const& job) {
  return (job.stages - 1) * job.costs.microbatch(0);
}

SHUNT_CONSTEXPR std::int64_t one_f_one_b::stash_peak(pipeline_job const& job) {
  return std::min(job.stages, job.microbatches) * job.stash.forward[0];
}

}  // namespace shunt
