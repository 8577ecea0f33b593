#pragma once
#include "shunt/solve/pipeline/interleaved_zero_bubble.hpp"

#include <algorithm>

#include "shunt/problem/stage_layout.hpp"
#include "shunt/solve/author/pipeline.hpp"
#include "shunt/solve/pipeline/interleaved_one_f_one_b.hpp"

namespace shunt {

SHUNT_CONSTEXPR solution<pipeline_schedule> interleaved_zero_bubble::operator()(
    pipeline_job const& job) const {
  validate(job);
  return evaluated(job, order(job));
}

SHUNT_CONSTEXPR pipeline_schedule interleaved_zero_bubble::order(pipeline_job const& job) const {
  require_layout(job, name, stage_layout::shape::looped);
  return detail::interleave(job, group, 1, true);
}

SHUNT_CONSTEXPR ticks interleaved_zero_bubble::bubble(pipeline_job const& job) {
  auto const& c = job.costs;
  return (detail::loops(job).places - 1) *
         (c.forward[0] + c.backward_input[0] - c.backward_weight[0]);
}

SHUNT_CONSTEXPR std::int64_t interleaved_zero_bubble::stash_peak(pipeline_job const& job) {
  detail::loops const in(job);
  return std::min(in.places + (in.chunks - 1) * in.group_size, in.chunks * in.microbatches) *
         job.stash.forward[0];
}

}  // namespace shunt
