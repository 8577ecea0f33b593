#pragma once
/// Local search over the orders of ranks: takes any plan of any layout, never returns a worse one.
///
/// Minimises the period, then the sum over ranks of the time from the start of the stage group to
/// the end. Each round tries moves that take an operation of a block of the longest path before the
/// block's first or behind its last operation, or a micro-batch of a dead rank to another live rank
/// (tabu search). Stops at the bound, or when `effort` operations have been timed. Keeps caps and
/// overlapped pairs. Copies of one pipeline are improved as one. Where the schedule is no plan, the
/// answer says why. See docs/pipeline-solvers.md.
/// Throws invalid_problem where the job is broken.
/// Complexity: an evaluation is linear in the operations, times the number of stage groups where
/// the step is staggered.
/// Reference: Balas, Vazacopoulos 1998 (N6); Nowicki, Smutnicki 1996 (N5).
#include <cstdint>
#include <string_view>

#include "shunt/core/solution.hpp"
#include "shunt/core/units.hpp"
#include "shunt/plan/pipeline_schedule.hpp"
#include "shunt/problem/pipeline_job.hpp"
#include "shunt/solve/solver.hpp"

namespace shunt {

/// Improver for any layout: local search over the orders.
struct improve_order {
  static constexpr std::string_view name = "improve_order";
  static constexpr bool improves = true;

  bool reroute = true;  ///< micro-batches of dead ranks may move to other live ranks
  /// limit on the operations timed; a staggered step counts them once per stage group
  std::int64_t effort = 2'000'000;

  /// Returns the improved plan, or the given schedule, evaluated.
  /// Throws invalid_problem where the job is broken.
  [[nodiscard]] solution<pipeline_schedule> operator()(pipeline_job const& job,
                                                       pipeline_schedule schedule) const;

 private:
  /// Returns the improved plan; copies of one pipeline are improved as one.
  [[nodiscard]] pipeline_schedule improved(pipeline_job const& job, pipeline_schedule const& plan,
                                           ticks bound) const;
};
static_assert(improver_for<improve_order, pipeline_job, pipeline_schedule>);

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/solve/pipeline/improve_order.ipp"
#endif
