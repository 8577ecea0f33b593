#pragma once
#include "shunt/solve/pipeline/hanayo.hpp"

#include <algorithm>
#include <cstddef>

#include "shunt/core/id.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/core/operation.hpp"
#include "shunt/problem/stage_layout.hpp"
#include "shunt/solve/author/pipeline.hpp"

namespace shunt::detail {

SHUNT_CONSTEXPR ticks slotted_bubble(pipeline_job const& job, std::int32_t places) {
  ticks const forward = job.costs.forward[0],
              backward = job.costs.backward_input[0] + job.costs.backward_weight[0];
  ticks const longer = std::max(forward, backward),
              difference = longer - std::min(forward, backward);
  return 2 * (places - 1) * (longer + (job.microbatches[0] / places - 1) * difference);
}

}  // namespace shunt::detail

namespace shunt {

SHUNT_CONSTEXPR solution<pipeline_schedule> hanayo::operator()(pipeline_job const& job) const {
  validate(job);
  return evaluated(job, order(job));
}

SHUNT_CONSTEXPR pipeline_schedule hanayo::order(pipeline_job const& job) const {
  require_layout(job, name, stage_layout::shape::wave);
  std::int32_t const chunks = job.layout.chunks(), places = job.stages / chunks;
  auto schedule =
      empty_schedule(job, static_cast<std::size_t>(chunks) *
                              (2 * static_cast<std::size_t>(job.microbatches.most()) + 1));
  for (pipeline_id p : ids<pipeline_id>(job.pipelines))
    for (std::int32_t place = 0; place < places; ++place) {
      auto& list = schedule.order[job.rank_of({p, place})];
      auto const stage = [&](std::int32_t chunk) {
        return chunk * places + (chunk % 2 == 0 ? place : places - 1 - place);
      };
      detail::ride_waves(place, places, chunks, job.microbatches[p],
                         [&](std::int32_t k, std::int32_t m) {
                           bool const forward = k < chunks;
                           list.push_back({forward ? op_kind::forward : op_kind::backward, p,
                                           stage(forward ? k : 2 * chunks - 1 - k), m});
                         });
      for (std::int32_t c = 0; c < chunks; ++c)
        list.push_back({.kind = op_kind::step, .stage = stage(c)});
    }
  return schedule;
}

SHUNT_CONSTEXPR ticks hanayo::bubble(pipeline_job const& job) {
  std::int32_t const places = job.stages / job.layout.chunks();
  if (job.layout.chunks() == 1) return (places - 1) * job.costs.microbatch(0);
  return detail::slotted_bubble(job, places);
}

SHUNT_CONSTEXPR std::int64_t hanayo::stash_peak(pipeline_job const& job) {
  return job.layout.chunks() * std::min(job.stages / job.layout.chunks(), job.microbatches.most()) *
         job.stash.forward[0];
}

}  // namespace shunt
