#pragma once
/// GPipe: every worker computes all forwards of its pipeline, then all backwards.
///
/// With equal stages the makespan is (M + S - 1)(F + B). Every worker stashes M micro-batches.
/// Takes linear layouts, and custom ones whose ranks have consecutive stages of one pipeline: these
/// count as one stage. Does not search or re-route: on a job with dead workers, or with a cap below
/// M, the answer is infeasible and its plan is only a start for transforms.
/// Throws invalid_problem where the job is broken or has another layout.
/// Complexity: linear in the number of operations.
/// Reference: Huang et al., arXiv 1811.06965.
#include <cstdint>
#include <string_view>

#include "shunt/core/config.hpp"
#include "shunt/core/solution.hpp"
#include "shunt/core/units.hpp"
#include "shunt/plan/pipeline_schedule.hpp"
#include "shunt/problem/pipeline_job.hpp"
#include "shunt/solve/solver.hpp"

namespace shunt {

/// Solver for ranks with consecutive stages: all forwards, then all backwards.
struct gpipe {
  static constexpr std::string_view name = "gpipe";

  /// Returns the plan of `order` with its period and lower bound.
  /// Throws invalid_problem where the job is broken or has another layout.
  [[nodiscard]] SHUNT_CONSTEXPR solution<pipeline_schedule> operator()(
      pipeline_job const& job) const;

  /// Returns the plan alone.
  /// Throws invalid_problem where the job has another layout.
  /// Requires a valid job.
  [[nodiscard]] SHUNT_CONSTEXPR pipeline_schedule order(pipeline_job const& job) const;

  /// Returns how long every rank idles within the makespan: (S - 1)(F + B), B = I + W.
  /// Requires equal stages, one a rank, equal M and no transfer times.
  /// Reference: GPipe, section 2.3.
  [[nodiscard]] static SHUNT_CONSTEXPR ticks bubble(pipeline_job const& job);
  /// Returns the stash peak: M micro-batches, the largest M.
  /// Requires one stage a rank.
  [[nodiscard]] static SHUNT_CONSTEXPR std::int64_t stash_peak(pipeline_job const& job);
};
static_assert(solver_for<gpipe, pipeline_job>);

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/solve/pipeline/gpipe.ipp"
#endif
