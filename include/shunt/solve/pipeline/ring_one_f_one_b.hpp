#pragma once
/// 1F1B where a rank may have two stages that are neighbours in the ring of its pipeline: the
/// stages of a lost worker and of its shadow.
///
/// Operations of a rank run by their lockstep in 1F1B (`lockstep_of`), in one of them backwards
/// first, then the shadow's own. With one stage a rank this is 1F1B. Does not search or re-route:
/// on a job with dead workers the answer is infeasible.
/// Complexity: O(n log n) for n operations of a rank.
/// Reference: Thorpe et al., Bamboo, NSDI 2023; the order is that of the authors' engine.
#include <string_view>
#include <vector>

#include "shunt/core/id.hpp"
#include "shunt/core/operation.hpp"
#include "shunt/core/solution.hpp"
#include "shunt/plan/pipeline_schedule.hpp"
#include "shunt/problem/pipeline_job.hpp"
#include "shunt/solve/solver.hpp"

namespace shunt {

/// Solver for ranks of one stage, or of a stage and its successor, which after the last is stage 0.
struct ring_one_f_one_b {
  static constexpr std::string_view name = "ring_one_f_one_b";

  /// Returns the plan of `order` with its period and lower bound.
  /// Throws invalid_problem where the job is broken or has another layout.
  [[nodiscard]] solution<pipeline_schedule> operator()(pipeline_job const& job) const;

  /// Returns the plan alone. Steps stand last, that of the shadow's own stage first.
  /// Throws invalid_problem where the job has another layout.
  /// Requires a valid job.
  [[nodiscard]] static pipeline_schedule order(pipeline_job const& job);
};
static_assert(solver_for<ring_one_f_one_b, pipeline_job>);

namespace detail {

/// Returns the forwards and backwards of a worker's stage.
[[nodiscard]] std::vector<operation> ring_operations(pipeline_job const& job, worker w);

/// Orders the operations of a rank by lockstep. `own`: the stage whose operations come first.
void order_by_lockstep(pipeline_job const& job, stage_id own, std::vector<operation>& list);

}  // namespace detail

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/solve/pipeline/ring_one_f_one_b.ipp"
#endif
