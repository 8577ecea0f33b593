#pragma once
#include "shunt/check/pipeline_times.hpp"

#include "shunt/check/detail/timetable_judge.hpp"

namespace shunt {

SHUNT_CONSTEXPR std::vector<pipeline_violation> check(pipeline_job const& job,
                                                      pipeline_schedule const& schedule,
                                                      timetable const& table) {
  validate(job);
  return detail::timetable_checker(job, schedule, table).find_violations();
}

}  // namespace shunt
