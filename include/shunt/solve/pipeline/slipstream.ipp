#pragma once
#include "shunt/solve/pipeline/slipstream.hpp"

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "shunt/core/config.hpp"
#include "shunt/core/id.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/core/text.hpp"
#include "shunt/core/units.hpp"
#include "shunt/measure/pipeline_bounds.hpp"
#include "shunt/problem/stage_costs.hpp"
#include "shunt/problem/stage_layout.hpp"
#include "shunt/problem/stage_runs.hpp"
#include "shunt/solve/author/pipeline.hpp"
#include "shunt/solve/pipeline/improve_order.hpp"
#include "shunt/solve/pipeline/one_f_one_b.hpp"
#include "shunt/solve/pipeline/reroute.hpp"
#include "shunt/solve/pipeline/search/equal_pipelines.hpp"
#include "shunt/solve/pipeline/search/policy_search.hpp"
#include "shunt/solve/pipeline/split_backward.hpp"
#include "shunt/solve/pipeline/stagger_step.hpp"

namespace shunt {

SHUNT_INLINE solution<pipeline_schedule> slipstream::operator()(pipeline_job const& job) const {
  validate(job);
  if (auto hopeless = without_plan(job)) return *std::move(hopeless);
  if (job.pipelines == 1 || !detail::pipelines_are_equal(job)) return planned(job);
  auto answer = planned(detail::first_pipeline(job));
  answer.plan = detail::copied_to_all(job, answer.plan);
  return answer;
}

SHUNT_INLINE std::optional<solution<pipeline_schedule>> slipstream::without_plan(
    pipeline_job const& job) const {
  if (stage_without_worker(job)) return evaluated(job, empty_schedule(job));
  solution<pipeline_schedule> none{.plan = empty_schedule(job), .status = status::infeasible};
  if (!reroute && !job.dead.empty()) {
    none.reason = text("worker ") + describe(job.dead.front()) +
                  " is dead and its micro-batches are not re-routed";
    return none;
  }
  for (stage_id s : ids<stage_id>(job.stages)) {
    auto const live = job.live_holders(s);
    if (std::any_of(live.begin(), live.end(), [&](rank_id r) {
          return job.stash_limit(r).value_or(job.stash.forward[s]) >= job.stash.forward[s];
        }))
      continue;
    none.reason = text("stage ") + text::of(s.value()) + " stashes " +
                  text::of(job.stash.forward[s]) +
                  " a micro-batch, more than the cap of its live workers";
    return none;
  }
  return std::nullopt;
}

SHUNT_INLINE solution<pipeline_schedule> slipstream::planned(pipeline_job const& job) const {
  ticks const least = period_bound(job, stagger),
              bound = split ? least : fused_period_bound(job, stagger);
  std::int64_t const one_run = std::int64_t{job.total_microbatches()} * job.stages * 2;
  auto left = effort;
  std::optional<solution<pipeline_schedule>> plain;
  auto best = attempt(job, least, bound, left - left / 4, plain);
  for (left /= 4; left >= one_run; left /= 4) {
    if (best.has_plan() && best.objective <= static_cast<double>(bound)) break;
    keep(best, attempt(job, least, bound, left - left / 4, plain));
  }
  return best;
}

SHUNT_INLINE solution<pipeline_schedule> slipstream::attempt(
    pipeline_job const& job, ticks least, ticks bound, std::int64_t within,
    std::optional<solution<pipeline_schedule>>& plain) const {
  bool const moves = reroute && (!job.dead.empty() || job.uneven());
  bool const twice = pool && moves && rule != routing::pooled;
  routing const first = reroute ? rule : routing::own;
  solution<pipeline_schedule> best{.plan = empty_schedule(job), .status = status::limit_reached};
  best.reason = "no order found under the stash cap";
  std::int64_t left = within;
  for (int routes = 0; routes <= static_cast<int>(twice); ++routes) {
    std::int64_t const share = routes == 0 && twice                       ? within / 6
                               : job.memory.rule == stash_cap::kind::none ? left
                                                                          : left / 4;
    detail::policy_search search(job, split, stagger, bound, share,
                                 routes == 0 ? first : routing::pooled);
    search.search();
    left -= share - search.left();
    if (left <= 0 && routes == static_cast<int>(twice))
      search.justify();  // no local search follows
    if (search.best() == detail::policy_search::nothing) continue;
    if (search.best() == least)
      return {.plan = search.schedule(),
              .status = status::optimal,
              .objective = static_cast<double>(least),
              .lower_bound = static_cast<double>(least)};
    keep(best, search.exact()
                   ? solution<pipeline_schedule>{.plan = search.schedule(),
                                                 .status = status::feasible,
                                                 .objective = static_cast<double>(search.best()),
                                                 .lower_bound = static_cast<double>(least)}
                   : evaluated(job, search.schedule()));
    if (best.objective <= static_cast<double>(bound)) return best;
  }
  if (!plain) plain = transformed(job);
  keep(best, *plain);
  if (best.has_plan() && left > 0)
    keep(best, improve_order{.reroute = reroute && rule != routing::round_robin,
                             .effort = left}(job, best.plan));
  return best;
}

SHUNT_INLINE solution<pipeline_schedule> slipstream::transformed(pipeline_job const& job) const {
  auto const form = job.layout.form();
  if (form != stage_layout::shape::linear &&
      (form != stage_layout::shape::custom || runs_of(job).empty()))
    return {.plan = {}, .status = status::limit_reached};
  auto simple =
      reroute ? shunt::reroute{.rule = rule}(job, one_f_one_b{}(job).plan) : one_f_one_b{}(job);
  if (split && simple.has_plan()) simple = split_backward{}(job, std::move(simple.plan));
  if (stagger && simple.has_plan()) simple = stagger_step{}(job, std::move(simple.plan));
  return simple;
}

SHUNT_INLINE void slipstream::keep(solution<pipeline_schedule>& best,
                                   solution<pipeline_schedule> found) {
  if (found.has_plan() && (!best.has_plan() || found.objective < best.objective))
    best = std::move(found);
}

}  // namespace shunt
