#pragma once
#include "shunt/check/pipeline.hpp"

#include <vector>

#include "shunt/check/detail/schedule_judge.hpp"
#include "shunt/check/pipeline_violation.hpp"
#include "shunt/plan/pipeline_schedule.hpp"
#include "shunt/problem/pipeline_job.hpp"
#include "shunt/core/config.hpp"

namespace shunt {

SHUNT_CONSTEXPR std::vector<pipeline_violation> check(pipeline_job const& job,
                                                              pipeline_schedule const& schedule) {
  validate(job);
  return detail::schedule_checker(job, schedule).find_violations();
}

}  // namespace shunt
