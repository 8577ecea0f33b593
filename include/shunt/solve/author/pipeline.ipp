#pragma once
#include "shunt/solve/author/pipeline.hpp"

#include <string>
#include <utility>
#include <vector>

#include "shunt/core/error.hpp"
#include "shunt/core/id.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/core/operation.hpp"
#include "shunt/measure/operation_graph.hpp"
#include "shunt/measure/pipeline.hpp"
#include "shunt/measure/pipeline_bounds.hpp"
#include "shunt/measure/stage_groups.hpp"
#include "shunt/measure/times.hpp"
#include "shunt/plan/mismatch.hpp"

namespace shunt {

SHUNT_CONSTEXPR text describe(worker w) {
  return text::of(w.pipeline.value()) + ":" + text::of(w.stage.value());
}

SHUNT_CONSTEXPR void require_layout(pipeline_job const& job, std::string_view solver,
                                    stage_layout::shape wanted, std::int32_t chunks) {
  using shape = stage_layout::shape;
  bool const apart =
      job.layout.form() == shape::custom && job.ranks() == job.workers();  // a rank a worker
  auto const there = apart ? shape::linear : job.layout.form();
  auto const straight = [](shape form) {
    return form == shape::linear || form == shape::looped || form == shape::wave;
  };
  bool const same =
      there == wanted || (job.layout.chunks() == 1 && straight(there) && straight(wanted));
  if (same && (chunks == 0 || job.layout.chunks() == chunks)) return;
  std::string const count = chunks == 0 ? "" : " with " + std::to_string(chunks) + " chunks a rank";
  throw invalid_problem("layout", "is " + std::string(to_string(job.layout.form())) + "(" +
                                      std::to_string(job.layout.chunks()) + "), " +
                                      std::string(solver) + " is for " +
                                      std::string(to_string(wanted)) + " layouts" + count);
}

SHUNT_CONSTEXPR indexed<rank_id, stage_run> required_runs(pipeline_job const& job,
                                                          std::string_view solver) {
  if (job.layout.form() == stage_layout::shape::custom)
    if (auto runs = runs_of(job); !runs.empty()) return runs;
  require_layout(job, solver, stage_layout::shape::linear);
  return runs_of(job);
}

SHUNT_CONSTEXPR void require_equal_pairs(pipeline_job const& job, std::string_view solver) {
  for (std::int32_t p = 0; p < job.pipelines; p += 2)
    if (auto const a = job.microbatches[p], b = job.microbatches[p + 1]; a != b)
      throw invalid_problem("microbatches", "must be the same in pipelines " + std::to_string(p) +
                                                " and " + std::to_string(p + 1) + " for " +
                                                std::string(solver) + ", are " + std::to_string(a) +
                                                " and " + std::to_string(b));
}

SHUNT_CONSTEXPR void require_even_stages(pipeline_job const& job, std::string_view solver) {
  if (job.stages % 2 != 0)
    throw invalid_problem("stages", "must be even for " + std::string(solver) + ", is " +
                                        std::to_string(job.stages));
}

SHUNT_CONSTEXPR solution<pipeline_schedule> evaluated(pipeline_job const& job,
                                                      pipeline_schedule schedule) {
  solution<pipeline_schedule> answer{.plan = std::move(schedule), .status = status::infeasible};
  if (auto const stage = stage_without_worker(job)) {
    answer.reason = text("stage ") + text::of(stage->value()) + " has no live worker";
    return answer;
  }
  answer.lower_bound = static_cast<double>(period_bound(job, answer.plan.staggered_step));
  for (worker const& w : job.dead)
    if (rank_id const r = job.rank_of(w);
        r.index() < answer.plan.order.size() && !answer.plan.order[r].empty()) {
      answer.reason =
          text("worker ") + describe(w) + " is dead and its micro-batches are not re-routed";
      return answer;
    }
  if (auto const wrong = mismatch(job, answer.plan); !wrong.empty()) {
    answer.reason = wrong;
    return answer;
  }
  if (job.memory.rule != stash_cap::kind::none) {
    auto const peak = stash_peak(job, answer.plan);
    for (rank_id r : ids<rank_id>(job.ranks()))
      if (auto const cap = job.stash_limit(r); cap && peak[r] > *cap) {
        answer.reason = text("worker ") + describe(job.worker_of(r)) + " stashes " +
                        text::of(peak[r]) + ", the cap is " + text::of(*cap);
        return answer;
      }
  }
  auto const graph = graph_of(job, answer.plan);
  if (!graph.executable()) {
    answer.reason = "workers wait for each other";
    return answer;
  }
  stage_groups const in(job);
  answer.objective = static_cast<double>(detail::period_of(
      job, answer.plan, in, graph, detail::steady_state(job, answer.plan, in, graph).times.end));
  answer.status = answer.objective == answer.lower_bound ? status::optimal : status::feasible;
  return answer;
}

SHUNT_CONSTEXPR bool detail::is_foreign(pipeline_job job, pipeline_schedule const& schedule) {
  job.dead.clear();
  return !mismatch(job, schedule, extent::part).empty();
}

SHUNT_CONSTEXPR pipeline_schedule empty_schedule(pipeline_job const& job, std::size_t room) {
  pipeline_schedule schedule{
      .order = indexed<rank_id, std::vector<operation>>(static_cast<std::size_t>(job.ranks()))};
  for (auto& list : schedule.order) list.reserve(room);
  return schedule;
}

}  // namespace shunt
