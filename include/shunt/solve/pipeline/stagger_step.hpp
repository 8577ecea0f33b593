#pragma once
/// Staggered optimizer: a stage steps as soon as its own live peers have reduced their gradients.
///
/// The order of operations stays. The period falls from makespan + step to the longest span of a
/// stage + its step. It never grows, because no span is longer than the makespan.
/// Throws invalid_problem where the job is broken.
/// Reference: SlipStream, arXiv 2405.14009.
#include <string_view>

#include "shunt/core/config.hpp"
#include "shunt/core/solution.hpp"
#include "shunt/plan/pipeline_schedule.hpp"
#include "shunt/problem/pipeline_job.hpp"
#include "shunt/solve/solver.hpp"

namespace shunt {

/// Improver: staggers the optimizer step.
struct stagger_step {
  static constexpr std::string_view name = "stagger_step";
  static constexpr bool improves = true;

  /// Returns the schedule with a staggered step, evaluated.
  /// Throws invalid_problem where the job is broken.
  [[nodiscard]] SHUNT_CONSTEXPR solution<pipeline_schedule> operator()(
      pipeline_job const& job, pipeline_schedule schedule) const;
};
static_assert(improver_for<stagger_step, pipeline_job, pipeline_schedule>);

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/solve/pipeline/stagger_step.ipp"
#endif
