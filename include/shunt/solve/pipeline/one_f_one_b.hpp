#pragma once
/// 1F1B: after a warm-up every worker alternates one forward and one backward.
///
/// Stage s of S keeps S - s micro-batches in flight, or as many as the cap allows. With equal
/// stages and no cap below S - s the makespan is (M + S - 1)(F + B). Takes linear layouts, and
/// custom ones whose ranks have consecutive stages of one pipeline: these count as one stage. Does
/// not search or re-route: on a job with dead workers the answer is infeasible and its plan is only
/// a start for transforms.
/// Throws invalid_problem where the job is broken or has another layout.
/// Complexity: linear in the number of operations.
/// Reference: PipeDream-flush, Narayanan et al., arXiv 2006.09503.
#include <cstdint>
#include <string_view>

#include "shunt/core/config.hpp"
#include "shunt/core/solution.hpp"
#include "shunt/core/units.hpp"
#include "shunt/plan/pipeline_schedule.hpp"
#include "shunt/problem/pipeline_job.hpp"
#include "shunt/solve/solver.hpp"

namespace shunt {

/// Solver for ranks with consecutive stages: a warm-up, then one forward and one backward in turn.
struct one_f_one_b {
  static constexpr std::string_view name = "one_f_one_b";

  /// Returns the plan of `order` with its period and lower bound.
  /// Throws invalid_problem where the job is broken or has another layout.
  [[nodiscard]] SHUNT_CONSTEXPR solution<pipeline_schedule> operator()(
      pipeline_job const& job) const;

  /// Returns the plan alone.
  /// Throws invalid_problem where the job has another layout.
  /// Requires a valid job.
  [[nodiscard]] SHUNT_CONSTEXPR pipeline_schedule order(pipeline_job const& job) const;

  /// Returns how long every rank idles within the makespan: (S - 1)(F + B), B = I + W.
  /// Requires equal stages, one a rank, equal M, no transfer times and no cap.
  /// Reference: PipeDream-2BW, section 3.2.
  [[nodiscard]] static SHUNT_CONSTEXPR ticks bubble(pipeline_job const& job);
  /// Returns the stash peak, reached on the first rank: min(S, M) micro-batches, M the largest.
  /// Requires a job without cap, and one stage a rank.
  [[nodiscard]] static SHUNT_CONSTEXPR std::int64_t stash_peak(pipeline_job const& job);
};
static_assert(solver_for<one_f_one_b, pipeline_job>);

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/solve/pipeline/one_f_one_b.ipp"
#endif
