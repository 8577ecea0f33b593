#pragma once
/// V-Min: two chunks a rank in a V, the least stash: a third of 1F1B's.
///
/// Its building block goes from worker to worker without a slot's delay. A rank stashes up to 2
/// floor(P / 3) + 2 chunks, 2 more where P mod 3 = 2, each half a stage of a linear layout. With
/// equal costs and M >= 2P the makespan is 6M + 4P - 5, less 2 where P mod 3 = 0, less 4 where P
/// mod 3 = 2. Takes the layout wave(2). Where costs differ, `effort` bounds a search as in
/// `zero_bubble`. A tighter cap of the job holds, too. Infeasible with dead workers or a cap below
/// one micro-batch.
/// Throws invalid_problem where the job is broken or has another layout.
/// Reference: Qi et al., Pipeline Parallelism with Controllable Memory, arXiv 2405.15362, section
/// 3.
#include <cstdint>
#include <string_view>

#include "shunt/core/config.hpp"
#include "shunt/core/solution.hpp"
#include "shunt/core/units.hpp"
#include "shunt/plan/pipeline_schedule.hpp"
#include "shunt/problem/pipeline_job.hpp"
#include "shunt/solve/solver.hpp"

namespace shunt {

/// Solver for wave layouts of two chunks: a third of the stash of 1F1B.
struct v_min {
  static constexpr std::string_view name = "v_min";

  bool stagger = false;  ///< minimises the period of a staggered step instead of the makespan
  std::int64_t effort = 150'000;  ///< limit on the operations placed, over all runs after the first

  /// Returns the stash peak of the fullest of P ranks, in chunks.
  [[nodiscard]] static SHUNT_CONSTEXPR std::int64_t stash_peak(std::int64_t ranks);
  /// Returns b where the makespan is 6M + b, F = I = W = 1 for a chunk.
  [[nodiscard]] static SHUNT_CONSTEXPR ticks bubble(std::int64_t ranks);

  /// Returns the best plan found, or the reason why the job is infeasible.
  /// Throws invalid_problem where the job is broken or its layout is not wave(2).
  [[nodiscard]] solution<pipeline_schedule> operator()(pipeline_job const& job) const;
};
static_assert(solver_for<v_min, pipeline_job>);

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/solve/pipeline/v_min.ipp"
#endif
