#pragma once
/// Zero bubble for any layout, costs, transfer times and caps (after Qi et al., Zero Bubble Pipeline Parallelism, arXiv 2401.10241, section
/// 3.1 and Pipeline Parallelism with Controllable Memory, arXiv 2405.15362): backwards are split, and a cap decides how little a rank idles.
///
/// Minimises makespan + step, or the period where the step is staggered. Never over the cap; stops at the lower bound of
/// `period_bound`, or when `effort` operations have been placed. Where stages differ, the plan for stages that all cost the median
/// is a candidate: knowing the true costs never makes the plan worse. Scaling all costs changes nothing.
/// O(effort log ranks), after one run in any case. Infeasible on a job with dead workers (`slipstream` plans around them), and where a
/// rank's cap is below the stash of one micro-batch. Throws invalid_problem where the job is broken.
#include <algorithm>
#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

#include "shunt/measure/pipeline.hpp"
#include "shunt/measure/pipeline_bounds.hpp"
#include "shunt/solve/pipeline/restate.hpp"
#include "shunt/solve/pipeline/zero_bubble_search.hpp"
#include "shunt/solve/solver.hpp"

namespace shunt {
namespace detail {

/// The order that is best under these costs, as `chain_scheduler::sequence`.
inline zero_bubble_search searched(pipeline_job const& job, bool stagger, std::int64_t effort, std::vector<recipe> const& known) {
  ticks const bound = stagger ? period_bound(job, true) : makespan_bound(job);
  zero_bubble_search search(job, stagger, bound, effort);
  auto const median = [&](per_stage const& costs) {
    auto sorted = costs.values();
    std::nth_element(sorted.begin(), sorted.begin() + static_cast<std::ptrdiff_t>(sorted.size() / 2), sorted.end());
    return per_stage(sorted[sorted.size() / 2]);
  };
  auto const differ = [](per_stage const& costs) { return costs.size() > 1 && std::count(costs.values().begin(), costs.values().end(), costs.values()[0]) != static_cast<std::ptrdiff_t>(costs.size()); };
  if (differ(job.costs.forward) || differ(job.costs.backward_input) || differ(job.costs.backward_weight) || differ(job.costs.step)) {
    pipeline_job alike = job;
    alike.costs.forward = median(job.costs.forward);
    alike.costs.backward_input = median(job.costs.backward_input);
    alike.costs.backward_weight = median(job.costs.backward_weight);
    alike.costs.step = median(job.costs.step);
    search.judge(searched(alike, stagger, effort, known).sequence());
  }
  search.search(known);
  return search;
}

inline solution<pipeline_schedule> planned(pipeline_job const& job, bool stagger, std::int64_t effort, std::vector<recipe> const& known) {
  validate(job);
  solution<pipeline_schedule> answer{.status = status::infeasible};
  answer.plan = empty_schedule(job);
  answer.plan.staggered_step = stagger;
  if (auto const stage = stage_without_worker(job)) {
    answer.reason = text("stage ") + text::of(stage->value()) + " has no live worker";
    return answer;
  }
  if (!job.dead.empty()) {
    answer.reason = text("worker ") + describe(job.dead.front()) + " is dead and its micro-batches are not re-routed";
    return answer;
  }
  if (auto const r = chain_scheduler(job).too_small(); r >= 0) {
    answer.reason = text("rank ") + text::of(r) + " can't stash one micro-batch, the cap is " + text::of(*job.stash_limit(r));
    return answer;
  }
  auto search = searched(job, stagger, effort, known);
  auto plan = search.chain().schedule(search.sequence(), stagger);
  if (stagger) return restate(job, std::move(plan));
  answer.plan = std::move(plan);
  answer.objective = static_cast<double>(search.best() + longest_step(job));
  answer.lower_bound = static_cast<double>(period_bound(job, false));
  answer.status = answer.objective > answer.lower_bound ? status::feasible : status::optimal;
  return answer;
}

/// Plans with no more room on a rank than `stashes` whole ones of its stages, their mean where they differ; the bound stays that of the job.
inline solution<pipeline_schedule> planned_within(std::int64_t stashes, pipeline_job const& job, bool stagger, std::int64_t effort,
                                                  std::vector<recipe> const& known) {
  validate(job);
  std::vector<std::int64_t> limits;
  for (rank_id r : ids<rank_id>(job.ranks())) {
    auto const seats = job.seats_of(r);
    std::int64_t all = 0;
    for (worker const& w : seats) all += job.stash.forward[w.stage];
    std::int64_t const room = std::max(all, stashes * all / static_cast<std::int64_t>(seats.size()));
    limits.push_back(std::min(room, job.stash_limit(r).value_or(room)));
  }
  pipeline_job within = job;
  within.memory = stash_cap::per_rank(std::move(limits));
  auto answer = planned(within, stagger, effort, known);
  if (!answer.has_plan()) return answer;
  answer.lower_bound = static_cast<double>(period_bound(job, stagger));
  answer.status = answer.objective > answer.lower_bound ? status::feasible : status::optimal;
  return answer;
}

}  // namespace detail

struct zero_bubble {
  static constexpr std::string_view name = "zero_bubble";

  bool stagger = false;             ///< the step may be staggered: the period counts instead of the makespan
  std::int64_t effort = 2'000'000;  ///< operations to place at most, over all runs: about a tenth of a microsecond each

  [[nodiscard]] solution<pipeline_schedule> operator()(pipeline_job const& job) const {
    using r = detail::recipe;
    std::vector<r> known{{},
                         {r::true_costs, r::inputs, r::last, r::fill, 1},
                         {r::light_weights, r::way_thrice, r::with_input, r::unlimited, 2},
                         {r::light_weights, r::way_thrice, r::one_later, r::over_one_and_half, 3, r::until_weight},
                         {r::equal_costs, r::shortest_block, r::last, r::by_block, 4, r::until_weight},
                         {r::light_weights, r::way_thrice, r::with_input, r::fit_half, 3, r::until_weight},
                         {r::true_costs, r::inputs, r::last, r::fill_more, 1},
                         {r::equal_costs, r::way_thrice, r::two_later, r::unlimited, 1},
                         {r::light_weights, r::late_turn_block, r::one_later, r::by_block, 4, r::until_weight}};
    if (stagger) {
      known.insert(known.begin() + 2, {r::equal_costs, r::way_thrice, r::half_later, r::unlimited, 2});
      known.insert(known.begin() + 4, {r::light_weights, r::way_thrice, r::with_input, r::unlimited, 2, r::until_weight});
      known.insert(known.begin() + 5, {r::light_weights, r::way_thrice, r::with_input, r::fit_one, 2});
    }
    return detail::planned(job, stagger, effort, known);
  }
};
static_assert(solver_for<zero_bubble, pipeline_job>);

}  // namespace shunt
