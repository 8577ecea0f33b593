#pragma once
#include "shunt/solve/pipeline/ring_one_f_one_b.hpp"

#include <algorithm>
#include <tuple>
#include <utility>

#include "shunt/core/config.hpp"
#include "shunt/core/error.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/plan/redundancy.hpp"
#include "shunt/problem/stage_layout.hpp"
#include "shunt/solve/author/pipeline.hpp"

namespace shunt::detail {

SHUNT_INLINE std::vector<operation> ring_operations(pipeline_job const& job, worker w) {
  std::vector<operation> list;
  for (microbatch_id m : ids<microbatch_id>(job.microbatches[w.pipeline]))
    for (op_kind const k : {op_kind::forward, op_kind::backward})
      list.push_back({k, w.pipeline, w.stage, m});
  return list;
}

SHUNT_INLINE void order_by_lockstep(pipeline_job const& job, stage_id own,
                                    std::vector<operation>& list) {
  auto const key = [&](operation const& o) {
    return std::tuple(lockstep_of(o, job.stages), o.kind != op_kind::backward, o.stage != own);
  };
  std::sort(list.begin(), list.end(),
            [&](operation const& a, operation const& b) { return key(a) < key(b); });
}

}  // namespace shunt::detail

namespace shunt {

SHUNT_INLINE solution<pipeline_schedule> ring_one_f_one_b::operator()(
    pipeline_job const& job) const {
  validate(job);
  return evaluated(job, order(job));
}

SHUNT_INLINE pipeline_schedule ring_one_f_one_b::order(pipeline_job const& job) {
  auto schedule = empty_schedule(job);
  for (rank_id const r : ids<rank_id>(job.ranks())) {
    auto workers = job.workers_of(r);
    auto const shadow_first = [&] { return workers[0] == shadow_of(workers[1], job.stages); };
    if (workers.size() == 2 && !shadow_first()) std::swap(workers[0], workers[1]);
    if (workers.size() > 2 || (workers.size() == 2 && !shadow_first()))
      throw invalid_problem("layout", "ring_one_f_one_b takes ranks of one stage, or of two that "
                                      "are neighbours in the ring, unlike rank " +
                                          to_string(r));
    auto& list = schedule.order[r];
    for (worker const w : workers) {
      auto const more = detail::ring_operations(job, w);
      list.insert(list.end(), more.begin(), more.end());
    }
    detail::order_by_lockstep(job, workers[0].stage, list);
    for (worker const w : workers) list.push_back({.kind = op_kind::step, .stage = w.stage});
  }
  return schedule;
}

}  // namespace shunt
