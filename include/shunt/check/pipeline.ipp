#pragma once
#include "shunt/check/pipeline.hpp"

#include "shunt/check/detail/schedule_judge.hpp"

namespace shunt {

SHUNT_CONSTEXPR std::vector<pipeline_violation> check(pipeline_job const& job,
                                                      pipeline_schedule const& schedule) {
  validate(job);
  return detail::schedule_checker(job, schedule).find_violations();
}

}  // namespace shunt
