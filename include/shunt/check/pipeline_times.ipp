#pragma once
#include "shunt/check/pipeline_times.hpp"

#include <vector>

#include "shunt/check/detail/timetable_judge.hpp"
#include "shunt/check/pipeline.hpp"
#include "shunt/check/pipeline_violation.hpp"
#include "shunt/plan/pipeline_schedule.hpp"
#include "shunt/problem/pipeline_job.hpp"
#include "shunt/core/config.hpp"

namespace shunt {

SHUNT_CONSTEXPR std::vector<pipeline_violation> check(pipeline_job const& job,
                                                              pipeline_schedule const& schedule,
                                                              timetable const& table) {
  validate(job);
  return detail::timetable_checker(job, schedule, table).find_violations();
}

}  // namespace shunt
