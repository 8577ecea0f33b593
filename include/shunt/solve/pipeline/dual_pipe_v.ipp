#pragma once
#include "shunt/solve/pipeline/dual_pipe_v.hpp"

#include <algorithm>
#include <array>

#include "shunt/core/id.hpp"
#include "shunt/problem/stage_layout.hpp"
#include "shunt/solve/author/pipeline.hpp"
#include "shunt/solve/pipeline/dual_pipe.hpp"

namespace shunt {

SHUNT_CONSTEXPR solution<pipeline_schedule> dual_pipe_v::operator()(pipeline_job const& job) const {
  validate(job);
  return evaluated(job, order(job));
}

SHUNT_CONSTEXPR pipeline_schedule dual_pipe_v::order(pipeline_job const& job) const {
  require_layout(job, name, stage_layout::shape::wave, 2);
  return detail::dual_pipe_order(job, [&](pipeline_id p, std::int32_t place) {
    return std::array<worker, 2>{{{p, place}, {p, job.stages - 1 - place}}};
  });
}

SHUNT_CONSTEXPR ticks dual_pipe_v::bubble(pipeline_job const& job) {
  return detail::dual_pipe_bubble(job);
}

SHUNT_CONSTEXPR std::int64_t dual_pipe_v::stash_peak(pipeline_job const& job) {
  return std::min(job.stages + 1, 2 * job.microbatches.most()) * job.stash.forward[0];
}

}  // namespace shunt
