#pragma once
/// 1F1B with redundant forwards: each worker but the last of a pipeline also computes the forwards
/// of the next stage, in the time in which it would wait for gradients.
///
/// Each redundant forward stands directly before a backward of its worker, the oldest first: there
/// its input was made, and the gradient has to come over the network. The last worker waits for no
/// gradient: it is the shadow of stage 0 and computes nothing for it. With equal stages, F = 1, B =
/// 2 and S > 1 the makespan is 3 (M + S - 1) + max(M - 2, 0): bubbles hide two of M.
/// Throws invalid_problem where the job is broken or its layout has other than one stage a rank.
/// Complexity: linear in the number of operations.
/// Reference: Thorpe et al., Bamboo, NSDI 2023, eager forward redundant computation.
#include <string_view>

#include "shunt/core/config.hpp"
#include "shunt/core/solution.hpp"
#include "shunt/plan/pipeline_schedule.hpp"
#include "shunt/plan/redundancy.hpp"
#include "shunt/problem/pipeline_job.hpp"
#include "shunt/solve/solver.hpp"

namespace shunt {

/// Solver for jobs without dead workers; with one the answer is infeasible (shadow_failover.hpp).
struct redundant_forward {
  static constexpr std::string_view name = "redundant_forward";

  /// Returns the plan with its period, redundant forwards included, and the lower bound of plans
  /// without them. The cap of the job does not count outputs of redundant forwards, which a worker
  /// can keep in the memory of its host.
  /// Throws invalid_problem where the job is broken or has another layout.
  [[nodiscard]] SHUNT_CONSTEXPR solution<redundant_schedule> operator()(
      pipeline_job const& job) const;

  /// Returns a schedule with redundant forwards: before the k-th backward or backward_input of a
  /// stage the one of the k-th forward.
  /// Requires a valid job of one stage a rank without dead workers, and a schedule of it.
  [[nodiscard]] static SHUNT_CONSTEXPR redundant_schedule insert(pipeline_job const& job,
                                                                 pipeline_schedule plain);
};
static_assert(solver_for<redundant_forward, pipeline_job>);

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/solve/pipeline/redundant_forward.ipp"
#endif
