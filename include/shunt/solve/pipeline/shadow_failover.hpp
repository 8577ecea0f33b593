#pragma once
/// A worker is lost and its shadow, the worker of the stage before, takes its stage over.
///
/// Operations of both stages run by their lockstep in 1F1B (`lockstep_of`), in one of them
/// backwards first, then the shadow's own. Where the iteration is interrupted, the shadow first
/// repeats what the lost worker had done, without sends: its gradient is lost. Redundant forwards
/// that the shadow has made are not repeated; it makes them until the first loss. The other workers
/// keep 1F1B. With equal stages, F + B = 3, the makespan after the loss of stage j + 1 is
/// 3 S + 6 (M - 1) - 2 (S - 2 - j).
/// Complexity: O(n log n) for n operations.
/// Reference: Thorpe et al., Bamboo, NSDI 2023; the order is that of the authors' engine.
#include <cstdint>
#include <string_view>

#include "shunt/core/solution.hpp"
#include "shunt/plan/redundancy.hpp"
#include "shunt/problem/pipeline_job.hpp"
#include "shunt/solve/solver.hpp"

namespace shunt {

/// Solver for jobs with dead workers, in the order in which they were lost. The last one is lost
/// now, the others were lost in earlier iterations.
///
/// Infeasible where a loss is fatal, so that all pipelines must be formed anew: a lost worker has
/// the stage of another one too, its shadow is lost, or the pipeline has one stage. The reason says
/// which. So two workers that are neighbours in the ring, the last and the first too, can't be lost
/// between two rendezvous. The objective is the period of the iterations that follow.
/// Throws invalid_problem where the job is broken, has no dead worker, has other than one stage a
/// rank, a cap, or links that differ within and between nodes: live ranks get new numbers; and
/// where `lockstep` is none of the iteration.
struct shadow_failover {
  static constexpr std::string_view name = "shadow_failover";

  /// When the last worker is lost, from 0 to 2 (M + S - 1): all workers have done the operations of
  /// earlier locksteps.
  std::int64_t lockstep = 0;

  [[nodiscard]] solution<shadow_takeover> operator()(pipeline_job const& job) const;
};
static_assert(solver_for<shadow_failover, pipeline_job>);

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/solve/pipeline/shadow_failover.ipp"
#endif
