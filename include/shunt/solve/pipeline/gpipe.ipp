#pragma once
#include "shunt/solve/pipeline/gpipe.hpp"

#include "shunt/core/id.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/core/operation.hpp"
#include "shunt/problem/stage_runs.hpp"
#include "shunt/solve/author/pipeline.hpp"
#include "shunt/solve/author/run_list.hpp"

namespace shunt {

SHUNT_CONSTEXPR solution<pipeline_schedule> gpipe::operator()(pipeline_job const& job) const {
  validate(job);
  return evaluated(job, order(job));
}

SHUNT_CONSTEXPR pipeline_schedule gpipe::order(pipeline_job const& job) const {
  auto const runs = required_runs(job, name);
  auto schedule = empty_schedule(job);
  for (rank_id r : ids<rank_id>(job.ranks())) {
    run_list list(job, runs[r], 2, schedule.order[r]);
    auto const all = ids<microbatch_id>(job.microbatches[runs[r].pipeline]);
    for (microbatch_id m : all) list.add(op_kind::forward, m);
    for (microbatch_id m : all) list.add(op_kind::backward, m);
    list.add_steps();
  }
  return schedule;
}

SHUNT_CONSTEXPR ticks gpipe::bubble(pipeline_job const& job) {
  return (job.stages - 1) * job.costs.microbatch(0);
}

SHUNT_CONSTEXPR std::int64_t gpipe::stash_peak(pipeline_job const& job) {
  return job.microbatches.most() * job.stash.forward[0];
}

}  // namespace shunt
