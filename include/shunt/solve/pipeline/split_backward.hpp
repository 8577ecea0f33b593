#pragma once
/// Decoupled BackProp: backward_input runs first, backward_weight when a worker has nothing else to
/// do.
///
/// Every fused backward becomes a backward_input in its place. The backward_weights wait in their
/// order until the worker would idle, or until the stash cap blocks the next forward. Every worker
/// keeps the order of its forwards and input gradients. Where the period does not become shorter,
/// the schedule stays as it is.
/// Throws invalid_problem where the job is broken.
/// Complexity: O(n log n) for n operations.
/// Reference: SlipStream, arXiv 2405.14009; Zero Bubble, arXiv 2401.10241.
#include <string_view>

#include "shunt/core/config.hpp"
#include "shunt/core/solution.hpp"
#include "shunt/plan/pipeline_schedule.hpp"
#include "shunt/problem/pipeline_job.hpp"
#include "shunt/solve/solver.hpp"

namespace shunt {

/// Improver: splits fused backwards.
struct split_backward {
  static constexpr std::string_view name = "split_backward";
  static constexpr bool improves = true;

  /// Returns the split schedule where its period is shorter, else the given schedule, evaluated.
  /// Throws invalid_problem where the job is broken.
  [[nodiscard]] SHUNT_CONSTEXPR solution<pipeline_schedule> operator()(
      pipeline_job const& job, pipeline_schedule schedule) const;
};
static_assert(improver_for<split_backward, pipeline_job, pipeline_schedule>);

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/solve/pipeline/split_backward.ipp"
#endif
