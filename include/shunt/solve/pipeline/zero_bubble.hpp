#pragma once
/// Zero bubble for any layout, costs, transfer times and caps: backwards are split.
///
/// Minimises makespan + step, or the period where the step is staggered. Never exceeds a cap. Stops
/// at `period_bound`, or when `effort` operations have been placed. The plan for stages of median
/// cost is a candidate: true costs never make it worse. Micro-batches of unlike lengths go by
/// number, the longest first or the shortest first. Scaling all costs changes nothing. Infeasible
/// on a job with dead workers (`slipstream` plans around them), and where a rank's cap is below the
/// stash of one micro-batch. Throws invalid_problem where the job is broken.
/// Complexity: O(effort log ranks), at least one run.
/// Reference: after Qi et al., Zero Bubble Pipeline Parallelism, arXiv 2401.10241, section 3.1;
/// Pipeline Parallelism with Controllable Memory, arXiv 2405.15362.
#include <cstdint>
#include <string_view>
#include <vector>

#include "shunt/core/solution.hpp"
#include "shunt/plan/pipeline_schedule.hpp"
#include "shunt/problem/pipeline_job.hpp"
#include "shunt/solve/solver.hpp"

namespace shunt {
namespace detail {
struct recipe;

/// Searches from the recipes `known`.
/// Returns the best plan, or the reason why the job is infeasible.
/// Throws invalid_problem where the job is broken.
solution<pipeline_schedule> planned(pipeline_job const& job, bool stagger, std::int64_t effort,
                                    std::vector<recipe> const& known);

/// Searches plans that hold at most `stashes` whole stashes of the stages of a rank, of their mean
/// where they differ. The lower bound stays that of the job.
/// Returns the best plan, or the reason why the job is infeasible.
/// Throws invalid_problem where the job is broken.
solution<pipeline_schedule> planned_within(std::int64_t stashes, pipeline_job const& job,
                                           bool stagger, std::int64_t effort,
                                           std::vector<recipe> const& known);

}  // namespace detail

/// Solver for any layout: searches orders of split backwards.
struct zero_bubble {
  static constexpr std::string_view name = "zero_bubble";

  bool stagger = false;  ///< minimises the period of a staggered step instead of the makespan
  /// limit on the operations placed, over all runs; about 0.1 us each
  std::int64_t effort = 2'000'000;

  /// Returns the best plan found, or the reason why the job is infeasible.
  /// Throws invalid_problem where the job is broken.
  [[nodiscard]] solution<pipeline_schedule> operator()(pipeline_job const& job) const;
};
static_assert(solver_for<zero_bubble, pipeline_job>);

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/solve/pipeline/zero_bubble.ipp"
#endif
