#pragma once
/// SlipStream / ReCycle: training goes on around dead workers, in the bubbles of the live ones.
///
/// Three parts, each with its switch: micro-batches of dead and slow workers go to live ones of
/// their stage in proportion to speed, backwards are split, stages step once their own gradients
/// are reduced. Minimises the period and stops at its lower bound, or when `effort` operations have
/// been placed. The same plan on every platform. Infeasible where a stage has no live worker or
/// none that can stash a micro-batch, and on dead workers without re-routing; limit_reached where
/// no order was found under the cap of ranks with several stages. See docs/pipeline-solvers.md.
/// Throws invalid_problem where the job is broken.
/// Complexity: O(effort log n) for n operations, at least one run of each route table.
/// Reference: arXiv 2405.14009.
#include <cstdint>
#include <optional>
#include <string_view>

#include "shunt/core/solution.hpp"
#include "shunt/core/units.hpp"
#include "shunt/plan/pipeline_schedule.hpp"
#include "shunt/problem/pipeline_job.hpp"
#include "shunt/solve/pipeline/search/routes.hpp"
#include "shunt/solve/solver.hpp"

namespace shunt {

/// Solver for any layout and any dead workers: minimises the period.
struct slipstream {
  static constexpr std::string_view name = "slipstream";

  bool reroute = true;              ///< adaptive pipelining
  bool split = true;                ///< decoupled BackProp
  bool stagger = true;              ///< staggered optimizer
  routing rule = routing::by_load;  ///< how the micro-batches of dead workers are dealt
  /// re-routes micro-batches of live workers as well where the bound is not reached without
  bool pool = true;
  /// limit on the operations placed, over all runs; four times as many are never worse; 120,000
  /// take at most 10 ms
  std::int64_t effort = 2'000'000;

  /// Returns the best plan found, or the reason why there is none.
  /// Throws invalid_problem where the job is broken.
  [[nodiscard]] solution<pipeline_schedule> operator()(pipeline_job const& job) const;

 private:
  /// Returns the infeasible answer where no plan exists, else nothing.
  [[nodiscard]] std::optional<solution<pipeline_schedule>> without_plan(
      pipeline_job const& job) const;

  /// Plans a job that may have a plan: three quarters of the effort for one attempt and, where that
  /// ends above the bound, the last quarter as a whole effort of its own.
  [[nodiscard]] solution<pipeline_schedule> planned(pipeline_job const& job) const;
  /// One attempt: searches, plain transforms, then local search. It ends early at `bound`, the
  /// least period with or without split backwards; `least` is the bound of all plans. `plain` keeps
  /// the transforms for further attempts.
  [[nodiscard]] solution<pipeline_schedule> attempt(
      pipeline_job const& job, ticks least, ticks bound, std::int64_t within,
      std::optional<solution<pipeline_schedule>>& plain) const;
  /// Returns 1F1B, re-routed, split and staggered as configured; no plan under other layouts.
  [[nodiscard]] solution<pipeline_schedule> transformed(pipeline_job const& job) const;
  /// Replaces `best` where `found` is a plan with a smaller period.
  static void keep(solution<pipeline_schedule>& best, solution<pipeline_schedule> found);
};
static_assert(solver_for<slipstream, pipeline_job>);

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/solve/pipeline/slipstream.ipp"
#endif
