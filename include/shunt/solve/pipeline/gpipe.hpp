#pragma once
/// GPipe: every worker computes all forwards of its pipeline, then all backwards (Huang et al., arXiv 1811.06965).
///
/// Makespan (M + S - 1)(F + B) with equal stages, M stashed micro-batches on every worker. Linear in the number of operations.
/// No search and no re-routing: on a job with dead workers, or with a cap below M, the answer is infeasible and the plan only a start for
/// transforms. Throws invalid_problem where the job is broken.
#include <string_view>

#include "shunt/solve/pipeline/restate.hpp"
#include "shunt/solve/solver.hpp"

namespace shunt {

struct gpipe {
  static constexpr std::string_view name = "gpipe";

  [[nodiscard]] constexpr solution<pipeline_schedule> operator()(pipeline_job const& job) const {
    validate(job);
    auto schedule = empty_schedule(job);
    for (pipeline_id p : ids<pipeline_id>(job.pipelines))
      for (stage_id s : ids<stage_id>(job.stages)) {
        auto& list = schedule.order[job.rank_of({p, s})];
        for (microbatch_id m : ids<microbatch_id>(job.microbatches)) list.push_back({op_kind::forward, p, s, m});
        for (microbatch_id m : ids<microbatch_id>(job.microbatches)) list.push_back({op_kind::backward, p, s, m});
        list.push_back({.kind = op_kind::step, .stage = s});
      }
    return restate(job, std::move(schedule));
  }
};
static_assert(solver_for<gpipe, pipeline_job>);

}  // namespace shunt
