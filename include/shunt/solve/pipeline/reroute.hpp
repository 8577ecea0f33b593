#pragma once
/// Adaptive pipelining: live workers of a stage compute the micro-batches of its dead workers.
///
/// The micro-batches of a stage's dead workers are dealt over its live ones, no rank getting more
/// than ceil(D M / live ranks of the stage) unless it had more before. Where costs are not alike,
/// all are dealt in proportion to speed. Both gradients follow the forward, where the stash lies.
/// Every list keeps its order. Where several meet, the worker runs the operation that can start
/// first, and never more forwards than the cap allows.
/// Takes any schedule with all operations of its micro-batches. Infeasible where a stage has no
/// live worker, or where the order of the lists does not fit under the cap.
/// Throws invalid_problem where the job is broken.
/// Complexity: O(n (log n + D)) for n operations.
/// Reference: SlipStream, arXiv 2405.14009, section on re-routing.
#include <string_view>

#include "shunt/core/config.hpp"
#include "shunt/core/solution.hpp"
#include "shunt/plan/pipeline_schedule.hpp"
#include "shunt/problem/pipeline_job.hpp"
#include "shunt/solve/pipeline/search/routes.hpp"
#include "shunt/solve/solver.hpp"

namespace shunt {

/// Transform: re-routes the micro-batches of dead workers.
struct reroute {
  static constexpr std::string_view name = "reroute";

  routing rule = routing::by_load;

  /// Returns the re-routed schedule with its period and bound. Where all workers are alive and
  /// alike, or a stage has no live one, returns the given schedule, evaluated.
  /// Throws invalid_problem where the job is broken.
  [[nodiscard]] SHUNT_CONSTEXPR solution<pipeline_schedule> operator()(
      pipeline_job const& job, pipeline_schedule schedule) const;
};
static_assert(transform_for<reroute, pipeline_job, pipeline_schedule>);

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/solve/pipeline/reroute.ipp"
#endif
