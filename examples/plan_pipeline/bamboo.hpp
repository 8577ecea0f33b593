#pragma once
/// --solver bamboo: 1F1B with redundant forwards or, with dead workers, what their shadows do.
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <utility>

#include "shunt/core/id.hpp"
#include "shunt/core/solution.hpp"
#include "shunt/core/units.hpp"
#include "shunt/measure/pipeline.hpp"
#include "shunt/measure/redundant_times.hpp"
#include "shunt/plan/pipeline_schedule.hpp"
#include "shunt/plan/redundancy.hpp"
#include "shunt/problem/pipeline_job.hpp"
#include "shunt/solve/pipeline/one_f_one_b.hpp"
#include "shunt/solve/pipeline/redundant_forward.hpp"
#include "shunt/solve/pipeline/shadow_failover.hpp"
#include "shunt/solve/solver.hpp"

namespace plan_pipeline {

inline constexpr std::string_view bamboo_name = "bamboo";

/// What Bamboo makes of a job, besides a plan.
struct bamboo_plan {
  shunt::ticks makespan_without = 0;  ///< of 1F1B, no worker dead
  std::optional<shunt::redundant_schedule> redundant{};
  std::optional<shunt::shadow_takeover> takeover{};
  std::int64_t failed_at = 0;

  /// Returns the share of the period in which ranks neither compute, redundantly or not, nor step.
  [[nodiscard]] double bubble(shunt::redundant_timetable const& table, shunt::ticks period) const {
    double busy = 0;
    for (auto const* times : {&table.plain.times, &table.redundant})
      for (auto const& list : *times)
        for (auto const& [start, end] : list) busy += static_cast<double>(end - start);
    return 1 - busy / (static_cast<double>(period) * static_cast<double>(table.redundant.size()));
  }
};

/// Plans a job and sets `bamboo`. After a takeover the job is that of the live ranks.
[[nodiscard]] inline shunt::solution<shunt::pipeline_schedule> plan_bamboo(shunt::pipeline_job& job,
                                                                           std::int64_t failed_at,
                                                                           bamboo_plan& bamboo) {
  auto whole = job;
  whole.dead.clear();
  auto const without = shunt::solve(whole, shunt::one_f_one_b{});
  if (without.has_plan()) bamboo.makespan_without = shunt::makespan(whole, without.plan);
  bamboo.failed_at = failed_at;
  auto const as_schedule = [](auto const& answer, shunt::pipeline_schedule plan) {
    return shunt::solution<shunt::pipeline_schedule>{.plan = std::move(plan),
                                                     .status = answer.status,
                                                     .objective = answer.objective,
                                                     .lower_bound = answer.lower_bound,
                                                     .reason = answer.reason};
  };
  if (job.dead.empty()) {
    auto answer = shunt::solve(job, shunt::redundant_forward{});
    bamboo.redundant = answer.plan;
    return as_schedule(answer, std::move(answer.plan.plain));
  }
  auto answer = shunt::solve(job, shunt::shadow_failover{.lockstep = failed_at});
  if (!answer.has_plan()) return as_schedule(answer, {});
  bamboo.takeover = std::move(answer.plan);
  job = bamboo.takeover->job;
  return as_schedule(answer, bamboo.takeover->schedule);
}

}  // namespace plan_pipeline
