#pragma once
/// Interleaved 1F1B with split backwards: ZB-H1 on v chunks a rank.
///
/// Groups of G micro-batches go round as in interleaved_one_f_one_b. Rank i of P warms up with only
/// P - 1 - i + (v - 1) G forwards and starts backward_weight i chunks late. So every rank stashes
/// P + (v - 1) G chunks. With equal stages the bubble is (P - 1)(F + I - W), F, I, W of a chunk.
/// With one chunk it is zb_h1. Takes looped layouts, and linear ones (v = 1). Does not search or
/// re-route: on a job with dead workers or a tighter cap the answer is infeasible.
/// Throws invalid_problem where the job is broken, has another layout or `group` is below P.
/// Complexity: linear in the number of operations.
/// Reference: PyTorch's ScheduleInterleavedZeroBubble; Qi et al., arXiv 2401.10241.
#include <cstdint>
#include <string_view>

#include "shunt/core/config.hpp"
#include "shunt/core/solution.hpp"
#include "shunt/core/units.hpp"
#include "shunt/plan/pipeline_schedule.hpp"
#include "shunt/problem/pipeline_job.hpp"
#include "shunt/solve/solver.hpp"

namespace shunt {

/// Solver for looped layouts: ZB-H1 on v chunks a rank.
struct interleaved_zero_bubble {
  static constexpr std::string_view name = "interleaved_zero_bubble";

  /// G, micro-batches that go round together, at least P; 0: as in interleaved_one_f_one_b
  std::int32_t group = 0;

  /// Returns the plan of `order` with its period and lower bound.
  /// Throws invalid_problem where the job is broken or its layout is not looped (or linear), or
  /// where `group` is neither 0 nor at least P.
  [[nodiscard]] SHUNT_CONSTEXPR solution<pipeline_schedule> operator()(
      pipeline_job const& job) const;

  /// Returns the plan alone.
  /// Throws invalid_problem where the layout is not looped (or linear), or where `group` is neither
  /// 0 nor at least P.
  /// Requires a valid job.
  [[nodiscard]] SHUNT_CONSTEXPR pipeline_schedule order(pipeline_job const& job) const;

  /// Returns how long every rank idles within the makespan: (P - 1)(F + I - W), of a chunk.
  /// Requires equal stages with W <= F and W <= I, equal M, a multiple of P (with one chunk M >=
  /// P), no transfer times and `group` 0.
  [[nodiscard]] static SHUNT_CONSTEXPR ticks bubble(pipeline_job const& job);
  /// Returns the stash peak of every rank: min(P + (v - 1) G, v M) chunks. Where P divides M these
  /// are v P chunks, as large as the stash of 1F1B.
  /// Requires `group` 0, equal M, and a stash that only backward_weight gives back.
  [[nodiscard]] static SHUNT_CONSTEXPR std::int64_t stash_peak(pipeline_job const& job);
};
static_assert(solver_for<interleaved_zero_bubble, pipeline_job>);

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/solve/pipeline/interleaved_zero_bubble.ipp"
#endif
