#pragma once
#include "shunt/solve/pipeline/one_f_one_b.hpp"

#include <algorithm>

#include "shunt/core/id.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/core/operation.hpp"
#include "shunt/problem/stage_runs.hpp"
#include "shunt/solve/author/pipeline.hpp"
#include "shunt/solve/author/run_list.hpp"

namespace shunt {

SHUNT_CONSTEXPR solution<pipeline_schedule> one_f_one_b::operator()(pipeline_job const& job) const {
  validate(job);
  return evaluated(job, order(job));
}

SHUNT_CONSTEXPR pipeline_schedule one_f_one_b::order(pipeline_job const& job) const {
  auto const runs = required_runs(job, name);
  auto schedule = empty_schedule(job);
  for (rank_id r : ids<rank_id>(job.ranks())) {
    run_list list(job, runs[r], 2, schedule.order[r]);
    std::int32_t const all = job.microbatches[runs[r].pipeline];
    std::int32_t const in_flight =
        list.most_in_flight(std::min(runs[r].ranks - runs[r].place, all));
    std::int32_t forward = 0;
    while (forward < in_flight - 1) list.add(op_kind::forward, forward++);
    for (microbatch_id m : ids<microbatch_id>(all)) {
      if (forward < all) list.add(op_kind::forward, forward++);
      list.add(op_kind::backward, m);
    }
    list.add_steps();
  }
  return schedule;
}

SHUNT_CONSTEXPR ticks one_f_one_b::bubble(pipeline_job const& job) {
  return (job.stages - 1) * job.costs.microbatch(0);
}

SHUNT_CONSTEXPR std::int64_t one_f_one_b::stash_peak(pipeline_job const& job) {
  return std::min(job.stages, job.microbatches.most()) * job.stash.forward[0];
}

}  // namespace shunt
