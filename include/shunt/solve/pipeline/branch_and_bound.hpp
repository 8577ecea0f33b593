#pragma once
/// The best plan of a small pipeline job, with a proof.
///
/// Bisects the period Theta between a lower bound and the best known plan; decides each Theta by a
/// job-shop search. Proves the optimum of plans that run every micro-batch where the route table
/// puts it, on its own rank if alive and all are alike (`bounds_every_plan`). `split` false: of
/// plans with fused backwards alone. States only the bound of all plans where pairs may overlap, or
/// where a stage group holds several stages that step or, with a staggered step, a stage of another
/// group. Returns optimal; or feasible, the best plan and the bound so far; or limit_reached
/// without a plan. Infeasible where a stage has no live rank, or no order fits under the caps.
/// Without dead ranks, equal pipelines are solved once. See docs/pipeline-solvers.md. Throws
/// invalid_problem where the job is broken. Complexity: exponential; at most `most_nodes` nodes of
/// a few microseconds each.
#include <cstdint>
#include <stop_token>
#include <string_view>

#include "shunt/core/solution.hpp"
#include "shunt/plan/pipeline_schedule.hpp"
#include "shunt/problem/pipeline_job.hpp"
#include "shunt/solve/anytime.hpp"
#include "shunt/solve/pipeline/search/routes.hpp"

namespace shunt {

/// Anytime solver for any layout: exact search on small jobs.
struct branch_and_bound {
  static constexpr std::string_view name = "branch_and_bound";

  bool split = true;                  ///< false: fused backwards only
  bool stagger = true;                ///< false: every worker waits for all others before it steps
  routing rule = routing::by_load;    ///< where the micro-batches of dead ranks run
  std::int64_t most_nodes = 200'000;  ///< limit on the nodes over all Theta

  /// Returns whether the proof holds for every plan of the job: backwards may be split, and no
  /// micro-batch could run on another rank.
  [[nodiscard]] bool bounds_every_plan(pipeline_job const& job) const;

  /// Returns the best plan and its proved bound.
  /// Throws invalid_problem where the job is broken.
  [[nodiscard]] solution<pipeline_schedule> operator()(pipeline_job const& job) const;
  /// As above. `stop` ends the search early; the answer is then the best so far.
  /// Throws invalid_problem where the job is broken.
  [[nodiscard]] solution<pipeline_schedule> operator()(pipeline_job const& job,
                                                       std::stop_token stop) const;

 private:
  /// Returns whether the proof holds for every plan with these backwards and routes.
  [[nodiscard]] bool covers(pipeline_job const& job) const;
};
static_assert(anytime_solver_for<branch_and_bound, pipeline_job>);

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/solve/pipeline/branch_and_bound.ipp"
#endif
