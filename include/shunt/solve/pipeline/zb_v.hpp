#pragma once
/// ZB-V: two chunks a rank, there and back in a V, no bubble with the stash of 1F1B.
///
/// A rank stashes up to 2P chunks, as much as P stages of a linear layout. With equal costs and
/// M >= 2P there is no bubble at all where the step is staggered. Otherwise only the way of the
/// forwards to the last rank idles: makespan 6M + P - 1. Takes the layout wave(2). Where costs
/// differ, `effort` bounds a search as in `zero_bubble`. A tighter cap of the job holds, too.
/// Infeasible with dead workers or a cap below one micro-batch.
/// Throws invalid_problem where the job is broken or has another layout.
/// Reference: Qi et al., Pipeline Parallelism with Controllable Memory, arXiv 2405.15362, section
/// 3; Zero Bubble Pipeline Parallelism, arXiv 2401.10241, section 6.
#include <cstdint>
#include <string_view>

#include "shunt/core/solution.hpp"
#include "shunt/core/units.hpp"
#include "shunt/plan/pipeline_schedule.hpp"
#include "shunt/problem/pipeline_job.hpp"
#include "shunt/solve/solver.hpp"

namespace shunt {

/// Solver for wave layouts of two chunks: no bubble with the stash of 1F1B.
struct zb_v {
  static constexpr std::string_view name = "zb_v";

  bool stagger = false;  ///< minimises the period of a staggered step instead of the makespan
  /// limit on the operations placed, over all runs after the first
  std::int64_t effort = 1'000'000;

  /// Returns the stash peak of the fullest of P ranks, in chunks.
  [[nodiscard]] static constexpr std::int64_t stash_peak(std::int64_t ranks) { return 2 * ranks; }
  /// Returns the idle ticks of a rank from its first start to the end of all, F = I = W = 1 for a
  /// chunk. A staggered step leaves none.
  [[nodiscard]] static constexpr ticks bubble(std::int64_t ranks) { return ranks - 1; }

  /// Returns the best plan found, or the reason why the job is infeasible.
  /// Throws invalid_problem where the job is broken or its layout is not wave(2).
  [[nodiscard]] solution<pipeline_schedule> operator()(pipeline_job const& job) const;
};
static_assert(solver_for<zb_v, pipeline_job>);

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/solve/pipeline/zb_v.ipp"
#endif
