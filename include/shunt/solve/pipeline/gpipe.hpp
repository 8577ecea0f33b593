#pragma once
/// GPipe: every worker computes all forwards of its pipeline, then all backwards.
///
/// With equal stages the makespan is (M + S - 1)(F + B). Every worker stashes M micro-batches.
/// Takes linear layouts. Does not search or re-route: on a job with dead workers, or with a cap
/// below M, the answer is infeasible and its plan is only a start for transforms.
/// Throws invalid_problem where the job is broken or has another layout.
/// Complexity: linear in the number of operations.
/// Reference: Huang et al., arXiv 1811.06965.
#include <cstdint>
#include <string_view>

#include "shunt/solve/author/pipeline.hpp"
#include "shunt/solve/solver.hpp"

namespace shunt {

/// Solver for linear layouts: all forwards, then all backwards.
struct gpipe {
  static constexpr std::string_view name = "gpipe";

  /// Returns the plan of `order` with its period and lower bound.
  /// Throws invalid_problem where the job is broken or its layout is not linear.
  [[nodiscard]] constexpr solution<pipeline_schedule> operator()(pipeline_job const& job) const {
    validate(job);
    return evaluated(job, order(job));
  }

  /// Returns the plan alone.
  /// Throws invalid_problem where the layout is not linear.
  /// Requires a valid job.
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

  /// Returns how long every rank idles within the makespan: (S - 1)(F + B), B = I + W.
  /// Requires equal stages and no transfer times.
  /// Reference: GPipe, section 2.3.
  [[nodiscard]] static constexpr ticks bubble(pipeline_job const& job) {
    return (job.stages - 1) * job.costs.microbatch(0);
  }
  /// Returns the stash peak of every rank: M micro-batches.
  [[nodiscard]] static constexpr std::int64_t stash_peak(pipeline_job const& job) {
    return job.microbatches * job.stash.forward[0];
  }
};
static_assert(solver_for<gpipe, pipeline_job>);

}  // namespace shunt
