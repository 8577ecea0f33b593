#pragma once
#include <cstdint>
#include <string_view>

#include "shunt/core/solution.hpp"
#include "shunt/core/units.hpp"
#include "shunt/problem/stage_costs.hpp"
#include "shunt/problem/worker_losses.hpp"
#include "shunt/solve/pipeline/loss_planner.hpp"
#include "shunt/solve/pipeline/slipstream.hpp"
#include "shunt/train/arrangement.hpp"
#include "shunt/train/planned_policy.hpp"
#include "shunt/train/training_policy.hpp"

namespace shunt {

/// After a loss the live ranks go on with the best plan of loss_planner: re-routing, other layers,
/// both, or fewer pipelines. A stage of the job is a layer of the model. Live ranks that wait are
/// spares, but where links are a matrix, and but for slow ones. Slow ranks count with their
/// factors, planned in sixteenths of ticks; the arrangement keeps the job's costs. It has the
/// plan's schedule.
///
/// Infeasible where loss_planner has no plan.
struct best_rule {
  static constexpr std::string_view name = "best";
  static constexpr std::int64_t every = 0;
  static constexpr bool follows_paces = true;

  per_stage state = 1;         ///< bytes that move with a stage, one value or one per stage
  byte_count state_limit = 0;  ///< the most that a rank holds of these; 0: no limit
  switch_costs change{};
  ticks until_next = 0;  ///< expected from one failure to the next; 0: the period alone counts
  loss_planner planner{};

  /// Throws invalid_problem where a field is broken.
  [[nodiscard]] solution<arrangement> operator()(situation const& s) const;
};

/// The solver plans the start.
template <solver_for<pipeline_job> Solver = slipstream>
using best_policy = planned_policy<best_rule, Solver>;
static_assert(training_policy<best_policy<>>);

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/train/best_policy.ipp"
#endif
