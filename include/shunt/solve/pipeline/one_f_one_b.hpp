#pragma once
/// 1F1B: after a warm-up every worker alternates one forward and one backward (PipeDream-flush, Narayanan et al., arXiv 2006.09503).
///
/// Stage s of S keeps S - s micro-batches in flight, or as many as the cap allows. Makespan (M + S - 1)(F + B) with equal stages and no
/// cap below S - s. Linear in the number of operations. No search and no re-routing: on a job with dead workers the answer is infeasible
/// and the plan only a start for transforms. Throws invalid_problem where the job is broken.
#include <algorithm>
#include <string_view>

#include "shunt/solve/pipeline/restate.hpp"
#include "shunt/solve/solver.hpp"

namespace shunt {

struct one_f_one_b {
  static constexpr std::string_view name = "one_f_one_b";

  [[nodiscard]] constexpr solution<pipeline_schedule> operator()(pipeline_job const& job) const {
    validate(job);
    auto schedule = empty_schedule(job);
    for (pipeline_id p : ids<pipeline_id>(job.pipelines))
      for (stage_id s : ids<stage_id>(job.stages)) {
        auto& list = schedule.order[job.rank_of({p, s})];
        std::int32_t in_flight = std::min(job.stages - s.value(), job.microbatches);
        if (auto const cap = job.stash_limit(s)) in_flight = std::min(in_flight, *cap);
        std::int32_t forward = 0;
        while (forward < in_flight - 1) list.push_back({op_kind::forward, p, s, forward++});
        for (microbatch_id m : ids<microbatch_id>(job.microbatches)) {
          if (forward < job.microbatches) list.push_back({op_kind::forward, p, s, forward++});
          list.push_back({op_kind::backward, p, s, m});
        }
        list.push_back({.kind = op_kind::step, .stage = s});
      }
    return restate(job, std::move(schedule));
  }
};
static_assert(solver_for<one_f_one_b, pipeline_job>);

}  // namespace shunt
