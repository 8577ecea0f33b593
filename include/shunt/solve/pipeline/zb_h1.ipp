#pragma once
#include "shunt/solve/pipeline/zb_h1.hpp"

#include <algorithm>

#include "shunt/core/id.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/core/operation.hpp"
#include "shunt/problem/stage_runs.hpp"
#include "shunt/solve/author/pipeline.hpp"
#include "shunt/solve/author/run_list.hpp"

namespace shunt {

SHUNT_CONSTEXPR solution<pipeline_schedule> zb_h1::operator()(pipeline_job const& job) const {
  validate(job);
  return evaluated(job, order(job));
}

SHUNT_CONSTEXPR pipeline_schedule zb_h1::order(pipeline_job const& job) const {
  auto const runs = required_runs(job, name);
  auto schedule = empty_schedule(job);
  for (rank_id r : ids<rank_id>(job.ranks())) {
    auto const& run = runs[r];
    run_list list(job, run, 3, schedule.order[r]);
    std::int32_t const all = job.microbatches[run.pipeline], cap = list.most_in_flight(run.ranks);
    std::int32_t const in_flight = std::min({run.ranks - run.place, all, cap});
    std::int32_t const late = std::min(run.place, cap - in_flight);
    std::int32_t forward = 0, weight = 0;
    while (forward < in_flight - 1) list.add(op_kind::forward, forward++);
    for (microbatch_id m : ids<microbatch_id>(all)) {
      if (forward < all) list.add(op_kind::forward, forward++);
      list.add(op_kind::backward_input, m);
      if (m.value() - late >= weight) list.add(op_kind::backward_weight, weight++);
    }
    while (weight < all) list.add(op_kind::backward_weight, weight++);
    list.add_steps();
  }
  return schedule;
}

SHUNT_CONSTEXPR ticks zb_h1::bubble(pipeline_job const& job) {
  auto const& c = job.costs;
  return (job.stages - 1) * (c.forward[0] + c.backward_input[0] - c.backward_weight[0]) +
         std::max(0, job.stages - job.microbatches[0]) * c.backward_weight[0];
}

SHUNT_CONSTEXPR std::int64_t zb_h1::stash_peak(pipeline_job const& job) {
  return std::min(job.stages, job.microbatches.most()) * job.stash.forward[0];
}

}  // namespace shunt
