#pragma once
/// Chimera: two pipelines over the same ranks, one from each end, fill each other's bubbles. Every
/// rank holds one stage of each pipeline: two replicas of the model.
///
/// With equal stages and M = S/2 a pipeline the bubble is (S - 2) max(F, B). Where F and B differ,
/// every further S/2 micro-batches a pipeline add (S - 2) |F - B|. The middle ranks stash S
/// micro-batches, the outer ones S/2 + 1. Takes bidirectional layouts with an even number of
/// stages, any M a pipeline and any even number D of pipelines. Does not search or re-route: on a
/// job with dead workers or a tighter cap the answer is infeasible. See docs/pipeline-solvers.md.
/// Throws invalid_problem where the job is broken, has another layout, an odd number of stages, or
/// different M in the pipelines of a pair.
/// Complexity: linear in the number of operations.
/// Reference: Li and Hoefler, arXiv 2107.06925.
#include <cstdint>
#include <string_view>

#include "shunt/core/config.hpp"
#include "shunt/core/solution.hpp"
#include "shunt/core/units.hpp"
#include "shunt/plan/pipeline_schedule.hpp"
#include "shunt/problem/pipeline_job.hpp"
#include "shunt/solve/solver.hpp"

namespace shunt {

/// Solver for bidirectional layouts: two opposite pipelines share the ranks.
struct chimera {
  static constexpr std::string_view name = "chimera";

  /// Returns the plan of `order` with its period and lower bound.
  /// Throws invalid_problem where the job is broken, the layout is not bidirectional, the number of
  /// stages is odd or the pipelines of a pair have different numbers of micro-batches.
  [[nodiscard]] SHUNT_CONSTEXPR solution<pipeline_schedule> operator()(
      pipeline_job const& job) const;

  /// Returns the plan alone.
  /// Throws invalid_problem where the layout is not bidirectional, the number of stages is odd or
  /// the pipelines of a pair have different numbers of micro-batches.
  /// Requires a valid job.
  [[nodiscard]] SHUNT_CONSTEXPR pipeline_schedule order(pipeline_job const& job) const;

  /// Returns how long every rank idles within the makespan: (S - 2)(max(F,
  /// B) + (2 M / S - 1) |F - B|), B = I + W.
  /// Requires equal stages, equal M, a multiple of S/2, and no transfer times.
  /// Reference: for M = S/2 the paper's table 2, D - 2 of 2 N + D - 2 where F = B, and of
  /// 3 N / 2 + D - 2 where B = 2 F.
  [[nodiscard]] static SHUNT_CONSTEXPR ticks bubble(pipeline_job const& job);
  /// Returns the stash peak, reached on the middle ranks: min(S, 2 M) micro-batches.
  [[nodiscard]] static SHUNT_CONSTEXPR std::int64_t stash_peak(pipeline_job const& job);
};
static_assert(solver_for<chimera, pipeline_job>);

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/solve/pipeline/chimera.ipp"
#endif
