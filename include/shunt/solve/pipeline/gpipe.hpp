#pragma once
/// GPipe: every worker computes all forwards of its pipeline, then all backwards (Huang et al.,
/// arXiv 1811.06965).
///
/// Makespan (M + S - 1)(F + B) with equal stages, M stashed micro-batches on every worker. Linear
/// in the number of operations. For linear layouts. No search and no re-routing: on a job with dead
/// workers, or with a cap below M, the answer is infeasible and the plan only a start for
/// transforms. Throws invalid_problem where the job is broken or has another layout.
#include <cstdint>
#include <string_view>

#include "shunt/solve/author/pipeline.hpp"
#include "shunt/solve/solver.hpp"

namespace shunt {

struct gpipe {
  static constexpr std::string_view name = "gpipe";

  [[nodiscard]] constexpr solution<pipeline_schedule> operator()(pipeline_job const& job) const {
    validate(job);
    return restate(job, order(job));
  }

  /// The plan alone, of a job that is not broken. Throws invalid_problem for another layout.
  [[nodiscard]] constexpr pipeline_schedule order(pipeline_job const& job) const {
    require_layout(job, name, stage_layout::shape::linear);
    auto schedule = empty_schedule(job, 2 * static_cast<std::size_t>(job.microbatches) + 1);
    for (pipeline_id p : ids<pipeline_id>(job.pipelines))
      for (stage_id s : ids<stage_id>(job.stages)) {
        auto& list = schedule.order[job.rank_of({p, s})];
        for (microbatch_id m : ids<microbatch_id>(job.microbatches))
          list.push_back({op_kind::forward, p, s, m});
        for (microbatch_id m : ids<microbatch_id>(job.microbatches))
          list.push_back({op_kind::backward, p, s, m});
        list.push_back({.kind = op_kind::step, .stage = s});
      }
    return schedule;
  }

  /// (S - 1)(F + B), B = I + W: how long every rank idles within the makespan. Equal stages, no
  /// transfer; GPipe, section 2.3.
  [[nodiscard]] static constexpr ticks bubble(pipeline_job const& job) {
    return (job.stages - 1) * job.costs.microbatch(0);
  }
  /// M on every rank.
  [[nodiscard]] static constexpr std::int64_t stash_peak(pipeline_job const& job) {
    return job.microbatches * job.stash.forward[0];
  }
};
static_assert(solver_for<gpipe, pipeline_job>);

}  // namespace shunt
