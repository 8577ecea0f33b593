#pragma once
#include "shunt/train/planned_iteration.hpp"

#include <string>

#include "shunt/check/pipeline.hpp"
#include "shunt/check/redundancy.hpp"
#include "shunt/lower/pipeline.hpp"
#include "shunt/lower/salvage.hpp"
#include "shunt/lower/shadows.hpp"
#include "shunt/lower/step_validation.hpp"
#include "shunt/measure/pipeline.hpp"
#include "shunt/measure/redundant_times.hpp"
#include "shunt/program/renumbered.hpp"

namespace shunt {

SHUNT_INLINE planned_iteration planned(pipeline_job const& job, pipeline_schedule schedule,
                                       pipeline_tensors const& tensors, iteration_form form,
                                       rollback how, held_stages const& shadows) {
  if (auto const broken = check(job, schedule); !broken.empty())
    throw invalid_program("the schedule breaks a rule: " + to_string(broken.front()));
  planned_iteration all{.job = job, .period = period(job, schedule)};
  if (!shadows.empty() && form != iteration_form::plain)
    throw invalid_problem("shadows", "can't keep states of steps that are validated or salvaged");
  auto p = !shadows.empty() ? lower_with_shadows(job, schedule, shadows, tensors)
           : form == iteration_form::salvageable ? lower_salvageable(job, schedule, {}, tensors)
                                                 : lower(job, schedule, tensors);
  if (form == iteration_form::validated) {
    auto both = validated(
        p, schedule.staggered_step ? validation::in_next_iteration : validation::before_step, how);
    p = std::move(both.iteration);
    all.closing = std::make_shared<program const>(std::move(both.closing));
  }
  all.iteration = std::make_shared<program const>(std::move(p));
  all.schedule = std::move(schedule);
  return all;
}

SHUNT_INLINE planned_iteration planned(pipeline_job const& job, redundant_schedule schedule,
                                       pipeline_tensors const& tensors,
                                       held_stages const& shadows) {
  if (auto const broken = check(job, schedule); !broken.empty())
    throw invalid_program("the schedule breaks a rule: " + to_string(broken.front()));
  auto p = lower_with_shadows(job, schedule, shadows, tensors);
  ticks const with_forwards = period(job, schedule.plain, times(job, schedule).plain);
  return {.job = job,
          .schedule = std::move(schedule.plain),
          .period = with_forwards,
          .iteration = std::make_shared<program const>(std::move(p))};
}

SHUNT_INLINE planned_iteration renumbered(planned_iteration plan, std::span<rank_id const> numbers,
                                          std::int32_t ranks) {
  for (auto* const p : {&plan.iteration, &plan.closing})
    if (*p) *p = std::make_shared<program const>(renumbered(**p, numbers, ranks));
  return plan;
}

}  // namespace shunt
