#pragma once
/// Looped breadth-first: GPipe on v chunks a rank. All micro-batches pass one chunk before the
/// next, so that a chunk's parameters are needed in one stretch.
///
/// With equal stages and M >= P the bubble is (P - 1)(F + B), F and B of a chunk: 1/v of GPipe's.
/// Every rank stashes v M chunks. Takes looped layouts, and linear ones (GPipe). Does not search or
/// re-route: on a job with dead workers or a tighter cap the answer is infeasible.
/// Throws invalid_problem where the job is broken or has another layout.
/// Complexity: linear in the number of operations.
/// Reference: Lamy-Poirier, Breadth-First Pipeline Parallelism, arXiv 2211.05953.
#include <cstdint>
#include <string_view>

#include "shunt/core/config.hpp"
#include "shunt/core/solution.hpp"
#include "shunt/core/units.hpp"
#include "shunt/plan/pipeline_schedule.hpp"
#include "shunt/problem/pipeline_job.hpp"
#include "shunt/solve/solver.hpp"

namespace shunt {

/// Solver for looped layouts: all micro-batches pass one chunk before the next.
struct looped_bfs {
  static constexpr std::string_view name = "looped_bfs";

  /// Returns the plan of `order` with its period and lower bound.
  /// Throws invalid_problem where the job is broken or its layout is not looped (or linear).
  [[nodiscard]] SHUNT_CONSTEXPR solution<pipeline_schedule> operator()(
      pipeline_job const& job) const;

  /// Returns the plan alone.
  /// Throws invalid_problem where the layout is not looped (or linear).
  /// Requires a valid job.
  [[nodiscard]] SHUNT_CONSTEXPR pipeline_schedule order(pipeline_job const& job) const;

  /// Returns how long every rank idles within the makespan: (P - 1 + (v - 1) max(0,
  /// P - M)) (F + B), with F and B = I + W of a chunk. For M >= P this is the paper's formula.
  /// Requires equal stages, equal M and no transfer times.
  [[nodiscard]] static SHUNT_CONSTEXPR ticks bubble(pipeline_job const& job);
  /// Returns the stash peak of every rank: v M chunks.
  [[nodiscard]] static SHUNT_CONSTEXPR std::int64_t stash_peak(pipeline_job const& job);
};
static_assert(solver_for<looped_bfs, pipeline_job>);

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/solve/pipeline/looped_bfs.ipp"
#endif
