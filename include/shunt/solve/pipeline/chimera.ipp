#pragma once
#include "shunt/solve/pipeline/chimera.hpp"

#include <algorithm>
#include <cstddef>

#include "shunt/core/id.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/core/operation.hpp"
#include "shunt/problem/stage_layout.hpp"
#include "shunt/solve/author/pipeline.hpp"
#include "shunt/solve/pipeline/hanayo.hpp"

namespace shunt {

SHUNT_CONSTEXPR solution<pipeline_schedule> chimera::operator()(pipeline_job const& job) const {
  validate(job);
  return evaluated(job, order(job));
}

SHUNT_CONSTEXPR pipeline_schedule chimera::order(pipeline_job const& job) const {
  require_layout(job, name, stage_layout::shape::bidirectional);
  require_even_stages(job, name);
  require_equal_pairs(job, name);
  auto schedule = empty_schedule(job, 4 * static_cast<std::size_t>(job.microbatches.most()) + 2);
  for (pipeline_id p : ids<pipeline_id>(job.pipelines))
    for (stage_id near : ids<stage_id>(job.stages / 2)) {
      // the stage of the other pipeline on the same rank
      stage_id const far = job.stages - 1 - near.value();
      pipeline_id const other = p.value() % 2 == 0 ? p.value() + 1 : p.value() - 1;
      auto& list = schedule.order[job.rank_of({p, near})];
      detail::ride_waves(near.value(), job.stages / 2, 2, job.microbatches[p],
                         [&](std::int32_t k, std::int32_t m) {
                           bool const turned = k == 1 || k == 2;
                           list.push_back({k < 2 ? op_kind::forward : op_kind::backward,
                                           turned ? other : p, turned ? far : near, m});
                         });
      list.push_back({.kind = op_kind::step, .stage = near});
      list.push_back({.kind = op_kind::step, .stage = far});
    }
  return schedule;
}

SHUNT_CONSTEXPR ticks chimera::bubble(pipeline_job const& job) {
  return detail::slotted_bubble(job, job.stages / 2);
}

SHUNT_CONSTEXPR std::int64_t chimera::stash_peak(pipeline_job const& job) {
  return std::min(job.stages, 2 * job.microbatches.most()) * job.stash.forward[0];
}

}  // namespace shunt
