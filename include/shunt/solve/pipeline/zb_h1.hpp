#pragma once
/// ZB-H1: 1F1B with split backwards. The input gradient is passed on at once; the parameters'
/// gradient fills the bubbles.
///
/// Stage s starts backward_weight s micro-batches late. So every stage stashes S micro-batches, the
/// peak of 1F1B on its first stage. Under a tighter cap the delay is smaller. With equal stages the
/// bubble is (S - 1)(F + I - W). Takes linear layouts, and custom ones whose ranks have consecutive
/// stages of one pipeline: these count as one stage. Does not search or re-route: on a job with
/// dead workers the answer is infeasible and its plan is only a start for transforms. Throws
/// invalid_problem where the job is broken or has another layout. Complexity: linear in the number
/// of operations. Reference: Qi et al., Zero Bubble Pipeline Parallelism, arXiv 2401.10241,
/// section 2.
#include <cstdint>
#include <string_view>

#include "shunt/core/config.hpp"
#include "shunt/core/solution.hpp"
#include "shunt/core/units.hpp"
#include "shunt/plan/pipeline_schedule.hpp"
#include "shunt/problem/pipeline_job.hpp"
#include "shunt/solve/solver.hpp"

namespace shunt {

/// Solver for ranks with consecutive stages: 1F1B with split and delayed backwards.
struct zb_h1 {
  static constexpr std::string_view name = "zb_h1";

  /// Returns the plan of `order` with its period and lower bound.
  /// Throws invalid_problem where the job is broken or has another layout.
  [[nodiscard]] SHUNT_CONSTEXPR solution<pipeline_schedule> operator()(
      pipeline_job const& job) const;

  /// Returns the plan alone.
  /// Throws invalid_problem where the job has another layout.
  /// Requires a valid job.
  [[nodiscard]] SHUNT_CONSTEXPR pipeline_schedule order(pipeline_job const& job) const;

  /// Returns how long every rank idles within the makespan: (S - 1)(F + I - W) + max(0, S - M) W.
  /// Requires equal stages with W <= F and W <= I, one a rank, equal M, no transfer times and no
  /// cap.
  /// Reference: for M >= S the paper's section 2, where B stands for I.
  [[nodiscard]] static SHUNT_CONSTEXPR ticks bubble(pipeline_job const& job);
  /// Returns the stash peak of every rank: min(S, M) micro-batches, M the largest.
  /// Requires a job without cap, one stage a rank, and a stash that only backward_weight gives
  /// back.
  [[nodiscard]] static SHUNT_CONSTEXPR std::int64_t stash_peak(pipeline_job const& job);
};
static_assert(solver_for<zb_h1, pipeline_job>);

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/solve/pipeline/zb_h1.ipp"
#endif
