#pragma once
/// ZB-H2: so many forwards ahead that no rank waits for the first gradient.
///
/// A rank stashes up to 2P - 1 micro-batches, nearly twice 1F1B's. With equal costs and M >= 2P - 1
/// there is no bubble at all where the step is staggered. Otherwise only the way of the forwards to
/// the last rank idles: makespan 3M + P - 1. Takes linear layouts. Where costs differ, `effort`
/// bounds a search as in `zero_bubble`. A tighter cap of the job holds, too. Infeasible with dead
/// workers or a cap below one micro-batch.
/// Throws invalid_problem where the job is broken or has another layout.
/// Reference: Qi et al., Zero Bubble Pipeline Parallelism, arXiv 2401.10241, section 2.2.
#include <cstdint>
#include <string_view>

#include "shunt/core/config.hpp"
#include "shunt/core/solution.hpp"
#include "shunt/core/units.hpp"
#include "shunt/plan/pipeline_schedule.hpp"
#include "shunt/problem/pipeline_job.hpp"
#include "shunt/solve/solver.hpp"

namespace shunt {

/// Solver for linear layouts: no bubble for nearly twice the stash of 1F1B.
struct zb_h2 {
  static constexpr std::string_view name = "zb_h2";

  bool stagger = false;  ///< minimises the period of a staggered step instead of the makespan
  /// limit on the operations placed, over all runs after the first
  std::int64_t effort = 1'000'000;

  /// Returns the stash peak of the fullest of P ranks, in whole stashes.
  [[nodiscard]] static SHUNT_CONSTEXPR std::int64_t stash_peak(std::int64_t ranks);
  /// Returns the idle ticks of a rank from its first start to the end of all, F = I = W = 1. A
  /// staggered step leaves none.
  [[nodiscard]] static constexpr ticks bubble(std::int64_t ranks) { return ranks - 1; }

  /// Returns the best plan found, or the reason why the job is infeasible.
  /// Throws invalid_problem where the job is broken or its layout is not linear.
  [[nodiscard]] solution<pipeline_schedule> operator()(pipeline_job const& job) const;
};
static_assert(solver_for<zb_h2, pipeline_job>);

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/solve/pipeline/zb_h2.ipp"
#endif
