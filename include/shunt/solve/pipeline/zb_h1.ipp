#pragma once
#include "shunt/solve/pipeline/zb_h1.hpp"

#include <algorithm>
#include <cstddef>

#include "shunt/core/id.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/core/operation.hpp"
#include "shunt/problem/stage_layout.hpp"
#include "shunt/solve/author/pipeline.hpp"

namespace shunt {

SHUNT_CONSTEXPR solution<pipeline_schedule> zb_h1::operator()(pipeline_job const& job) const {
  validate(job);
  return evaluated(job, order(job));
}

SHUNT_CONSTEXPR pipeline_schedule zb_h1::order(pipeline_job const& job) const {
  require_layout(job, name, stage_layout::shape::linear);
  auto schedule = empty_schedule(job, 3 * static_cast<std::size_t>(job.microbatches) + 1);
  for (pipeline_id p : ids<pipeline_id>(job.pipelines))
    for (stage_id s : ids<stage_id>(job.stages)) {
      auto& list = schedule.order[job.rank_of({p, s})];
      std::int32_t cap = job.stages;
      if (auto const limit = job.stash_limit(job.rank_of({p, s})))
        cap = static_cast<std::int32_t>(std::min<std::int64_t>(cap, *limit / job.stash.forward[s]));
      std::int32_t const in_flight = std::min({job.stages - s.value(), job.microbatches, cap});
      std::int32_t const late = std::min(s.value(), cap - in_flight);
      std::int32_t forward = 0, weight = 0;
      while (forward < in_flight - 1) list.push_back({op_kind::forward, p, s, forward++});
      for (microbatch_id m : ids<microbatch_id>(job.microbatches)) {
        if (forward < job.microbatches) list.push_back({op_kind::forward, p, s, forward++});
        list.push_back({op_kind::backward_input, p, s, m});
        if (m.value() - late >= weight) list.push_back({op_kind::backward_weight, p, s, weight++});
      }
      while (weight < job.microbatches) list.push_back({op_kind::backward_weight, p, s, weight++});
      list.push_back({.kind = op_kind::step, .stage = s});
    }
  return schedule;
}

SHUNT_CONSTEXPR ticks zb_h1::bubble(pipeline_job const& job) {
  auto const& c = job.costs;
  return (job.stages - 1) * (c.forward[0] + c.backward_input[0] - c.backward_weight[0]) +
         std::max(0, job.stages - job.microbatches) * c.backward_weight[0];
}

SHUNT_CONSTEXPR std::int64_t zb_h1::stash_peak(pipeline_job const& job) {
  return std::min(job.stages, job.microbatches) * job.stash.forward[0];
}

}  // namespace shunt
