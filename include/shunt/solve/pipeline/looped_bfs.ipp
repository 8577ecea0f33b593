#pragma once
#include "shunt/solve/pipeline/looped_bfs.hpp"

#include <algorithm>
#include <cstddef>

#include "shunt/core/id.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/core/operation.hpp"
#include "shunt/problem/stage_layout.hpp"
#include "shunt/solve/author/pipeline.hpp"

namespace shunt {

SHUNT_CONSTEXPR solution<pipeline_schedule> looped_bfs::operator()(pipeline_job const& job) const {
  validate(job);
  return evaluated(job, order(job));
}

SHUNT_CONSTEXPR pipeline_schedule looped_bfs::order(pipeline_job const& job) const {
  require_layout(job, name, stage_layout::shape::looped);
  std::int32_t const chunks = job.layout.chunks(), places = job.stages / chunks;
  auto schedule =
      empty_schedule(job, static_cast<std::size_t>(chunks) *
                              (2 * static_cast<std::size_t>(job.microbatches.most()) + 1));
  for (pipeline_id p : ids<pipeline_id>(job.pipelines))
    for (std::int32_t place = 0; place < places; ++place) {
      auto& list = schedule.order[job.rank_of({p, place})];
      for (stage_id s = place; s < job.stages; s = s.value() + places)
        for (microbatch_id m : ids<microbatch_id>(job.microbatches[p]))
          list.push_back({op_kind::forward, p, s, m});
      for (stage_id s = job.stages - places + place; s >= 0; s = s.value() - places)
        for (microbatch_id m : ids<microbatch_id>(job.microbatches[p]))
          list.push_back({op_kind::backward, p, s, m});
      for (stage_id s = place; s < job.stages; s = s.value() + places)
        list.push_back({.kind = op_kind::step, .stage = s});
    }
  return schedule;
}

SHUNT_CONSTEXPR ticks looped_bfs::bubble(pipeline_job const& job) {
  std::int32_t const chunks = job.layout.chunks(), places = job.stages / chunks;
  return (places - 1 + (chunks - 1) * std::max(0, places - job.microbatches[0])) *
         job.costs.microbatch(0);
}

SHUNT_CONSTEXPR std::int64_t looped_bfs::stash_peak(pipeline_job const& job) {
  return std::int64_t{job.layout.chunks()} * job.microbatches.most() * job.stash.forward[0];
}

}  // namespace shunt
