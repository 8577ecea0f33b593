#pragma once
/// DualPipeV: DualPipe cut in half. S stages run over S/2 ranks there and back, so that the model
/// has one replica and each rank holds both the near and the far stage of one pipeline.
///
/// Rank h of P = S/2 has the list of DualPipe's rank h of S, where its own stage S - 1 - h replaces
/// the other pipeline's (dual_pipe.hpp). With F = I in all stages the bubble is
/// (P - 1)(F&B + B - 3 W), F, B, W of a chunk. A rank stashes 2 P + 1 chunks. Takes wave layouts of
/// two chunks and any M; for M < S it is the order for M = S without the missing micro-batches.
/// Does not search or re-route: on dead workers or a tighter cap the answer is infeasible.
/// Throws invalid_problem where the job is broken or has another layout.
/// Complexity: linear in the number of operations.
/// Reference: Sea AI Lab, "Cut-in-half"; github.com/deepseek-ai/DualPipe.
#include <cstdint>
#include <string_view>

#include "shunt/core/config.hpp"
#include "shunt/core/solution.hpp"
#include "shunt/core/units.hpp"
#include "shunt/plan/pipeline_schedule.hpp"
#include "shunt/problem/pipeline_job.hpp"
#include "shunt/solve/solver.hpp"

namespace shunt {

/// Solver for wave layouts of two chunks: DualPipe with one replica of the model.
struct dual_pipe_v {
  static constexpr std::string_view name = "dual_pipe_v";

  /// Returns the plan of `order` with its period and lower bound.
  /// Throws invalid_problem where the job is broken or its layout is not a wave of two chunks.
  [[nodiscard]] SHUNT_CONSTEXPR solution<pipeline_schedule> operator()(
      pipeline_job const& job) const;

  /// Returns the plan alone.
  /// Throws invalid_problem where the layout is not a wave of two chunks.
  /// Requires a valid job.
  [[nodiscard]] SHUNT_CONSTEXPR pipeline_schedule order(pipeline_job const& job) const;

  /// Returns how long the last rank, which idles most, idles within the makespan:
  /// (P - 1)(F&B + F - 2 W) of a chunk; without a gain (P - 1)(F - W + max(I, F - W)). This is the
  /// formula of dual_pipe with P = S/2.
  /// Requires equal stages with W <= I <= F, equal M >= S and no transfer times.
  [[nodiscard]] static SHUNT_CONSTEXPR ticks bubble(pipeline_job const& job);
  /// Returns the stash peak, for M >= S that of every rank: min(2 P + 1, 2 M) chunks.
  [[nodiscard]] static SHUNT_CONSTEXPR std::int64_t stash_peak(pipeline_job const& job);
};
static_assert(solver_for<dual_pipe_v, pipeline_job>);

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/solve/pipeline/dual_pipe_v.ipp"
#endif
