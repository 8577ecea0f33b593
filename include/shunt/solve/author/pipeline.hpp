#pragma once
#include <cstddef>
#include <utility>
#include <vector>

#include "shunt/core/id.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/core/solution.hpp"
#include "shunt/core/text.hpp"
#include "shunt/measure/operation_graph.hpp"
#include "shunt/measure/pipeline.hpp"
#include "shunt/measure/pipeline_bounds.hpp"
#include "shunt/measure/stage_groups.hpp"
#include "shunt/measure/times.hpp"
#include "shunt/plan/pipeline_schedule.hpp"
#include "shunt/problem/pipeline_job.hpp"

namespace shunt {

/// "1:2"
[[nodiscard]] constexpr text describe(worker w) {
  return text::of(w.pipeline.value()) + ":" + text::of(w.stage.value());
}

/// What is to be said of a schedule that has every operation of every micro-batch: its period
/// against the bound of its kind of step, or why it is no plan. It is none where a stage has no
/// live worker, where a dead worker has operations, where a worker stashes more than the cap, or
/// where workers wait for each other. The bound is that of all plans, with fused and split
/// backwards alike.
[[nodiscard]] constexpr solution<pipeline_schedule> restate(pipeline_job const& job,
                                                            pipeline_schedule schedule) {
  solution<pipeline_schedule> answer{.plan = std::move(schedule), .status = status::infeasible};
  if (auto const stage = stage_without_worker(job)) {
    answer.reason = text("stage ") + text::of(stage->value()) + " has no live worker";
    return answer;
  }
  answer.lower_bound = static_cast<double>(period_bound(job, answer.plan.staggered_step));
  for (worker const& w : job.dead)
    if (!answer.plan.order[job.rank_of(w)].empty()) {
      answer.reason =
          text("worker ") + describe(w) + " is dead and its micro-batches are not re-routed";
      return answer;
    }
  auto const peak = stash_peak(job, answer.plan);
  for (rank_id r : ids<rank_id>(job.ranks()))
    if (auto const cap = job.stash_limit(r); cap && peak[r] > *cap) {
      answer.reason = text("worker ") + describe(job.worker_of(r)) + " stashes " +
                      text::of(peak[r]) + ", the cap is " + text::of(*cap);
      return answer;
    }
  auto const graph = graph_of(job, answer.plan);
  if (!graph.executable()) {
    answer.reason = "workers wait for each other";
    return answer;
  }
  columns const in(job);
  column_starts start;  // all at 0
  if (answer.plan.staggered_step) start = detail::steady_start(job, answer.plan, in, graph);
  answer.objective = static_cast<double>(
      period(job, answer.plan, detail::table_of(job, answer.plan, in, graph, start)));
  answer.status = answer.objective > answer.lower_bound ? status::feasible : status::optimal;
  return answer;
}

/// A schedule with one empty list a rank, each with room for so many operations.
[[nodiscard]] constexpr pipeline_schedule empty_schedule(pipeline_job const& job,
                                                         std::size_t room = 0) {
  pipeline_schedule schedule{
      .order = indexed<rank_id, std::vector<operation>>(static_cast<std::size_t>(job.ranks()))};
  for (auto& list : schedule.order) list.reserve(room);
  return schedule;
}

}  // namespace shunt
