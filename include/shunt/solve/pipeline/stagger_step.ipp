#pragma once
#include "shunt/solve/pipeline/stagger_step.hpp"

#include <utility>

#include "shunt/solve/author/pipeline.hpp"

namespace shunt {

SHUNT_CONSTEXPR solution<pipeline_schedule> stagger_step::operator()(
    pipeline_job const& job, pipeline_schedule schedule) const {
  validate(job);
  schedule.staggered_step = true;
  return evaluated(job, std::move(schedule));
}

}  // namespace shunt
