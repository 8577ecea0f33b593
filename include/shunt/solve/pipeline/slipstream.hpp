#pragma once
/// SlipStream / ReCycle (arXiv 2405.14009): training goes on around dead workers, in the bubbles of
/// the live ones.
///
/// Three parts, each with its switch: micro-batches of dead workers are re-routed to live workers
/// of their stage, backwards are split where that helps, and stages step as soon as their own
/// gradients are reduced. Minimises the period. The target is the lower bound, not the paper's
/// schedules:
///   1. the search over policies (policy_search.hpp), with the micro-batches of dead workers
///   re-routed;
///   2. where that stays above the bound, the same with those of live workers re-routed as well:
///   they then share the work of their stage
///      evenly at every moment, not only in the end;
///   3. never worse than 1F1B with the three parts as plain transforms (linear layouts);
///   4. the best of these improved by local search over the orders (improve_order.hpp), most of all
///   under caps.
/// It stops at the bound, or when `effort` operations have been placed, after one run in any case.
/// O(effort log n), the same plan on every platform. Without dead workers pipelines are alike, and
/// one is planned for all. Infeasible where a stage has no live worker, on a job with dead workers
/// when re-routing is off, and where a micro-batch's stash doesn't fit any live worker of a stage;
/// limit_reached where no order was found under the cap of ranks with several stages. Throws
/// invalid_problem where the job is broken.
#include <algorithm>
#include <cstdint>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "shunt/solve/author/pipeline.hpp"
#include "shunt/solve/pipeline/improve_order.hpp"
#include "shunt/solve/pipeline/one_f_one_b.hpp"
#include "shunt/solve/pipeline/reroute.hpp"
#include "shunt/solve/pipeline/search/equal_pipelines.hpp"
#include "shunt/solve/pipeline/search/policy_search.hpp"
#include "shunt/solve/pipeline/split_backward.hpp"
#include "shunt/solve/pipeline/stagger_step.hpp"
#include "shunt/solve/solver.hpp"

namespace shunt {

struct slipstream {
  static constexpr std::string_view name = "slipstream";

  bool reroute = true;              ///< adaptive pipelining
  bool split = true;                ///< decoupled BackProp
  bool stagger = true;              ///< staggered optimizer
  routing rule = routing::by_load;  ///< how the micro-batches of dead workers are dealt
  bool pool = true;  ///< re-route micro-batches of live workers as well, where the bound isn't
                     ///< reached without
  std::int64_t effort = 2'000'000;  ///< operations to place at most, over all runs; 120,000 take
                                    ///< ten milliseconds at most

  [[nodiscard]] solution<pipeline_schedule> operator()(pipeline_job const& job) const {
    validate(job);
    if (auto hopeless = without_plan(job)) return *std::move(hopeless);
    if (job.pipelines == 1 || !detail::pipelines_are_equal(job)) return planned(job);
    auto answer = planned(detail::first_pipeline(job));
    answer.plan = detail::copied_to_all(job, answer.plan);
    return answer;
  }

 private:
  [[nodiscard]] std::optional<solution<pipeline_schedule>> without_plan(
      pipeline_job const& job) const {
    if (stage_without_worker(job)) return restate(job, empty_schedule(job));
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

  [[nodiscard]] solution<pipeline_schedule> planned(pipeline_job const& job) const {
    ticks const least = period_bound(job, stagger),
                bound = split ? least : fused_period_bound(job, stagger);
    bool const twice = pool && !job.dead.empty() && rule != routing::pooled;
    solution<pipeline_schedule> best{.plan = empty_schedule(job), .status = status::limit_reached};
    best.reason = "no order found under the stash cap";
    std::int64_t left = effort;
    for (int routes = 0; routes <= static_cast<int>(twice); ++routes) {
      std::int64_t const share = routes == 0 && twice                       ? effort / 6
                                 : job.memory.rule == stash_cap::kind::none ? left
                                                                            : left / 4;
      detail::policy_search search(job, split, stagger, bound, share, routes == 0 ? rule : routing::pooled);
      search.search();
      left -= share - search.left();
      if (search.best() == detail::policy_search::nothing) continue;
      if (search.best() == least)
        return {.plan = search.schedule(),
                .status = status::optimal,
                .objective = static_cast<double>(least),
                .lower_bound = static_cast<double>(least)};
      keep(best, restate(job, search.schedule()));
      if (best.objective <= static_cast<double>(bound)) return best;
    }
    if (job.layout.form() == stage_layout::shape::linear) {
      auto simple = shunt::reroute{.rule = rule}(job, one_f_one_b{}(job).plan);
      if (split && simple.has_plan()) simple = split_backward{}(job, std::move(simple.plan));
      if (stagger && simple.has_plan()) simple = stagger_step{}(job, std::move(simple.plan));
      keep(best, std::move(simple));
    }
    if (best.has_plan() && left > 0)
      keep(best,
           improve_order{.reroute = rule != routing::round_robin, .effort = left}(job, best.plan));
    return best;
  }
  static void keep(solution<pipeline_schedule>& best, solution<pipeline_schedule> found) {
    if (found.has_plan() && (!best.has_plan() || found.objective < best.objective))
      best = std::move(found);
  }
};
static_assert(solver_for<slipstream, pipeline_job>);

}  // namespace shunt
