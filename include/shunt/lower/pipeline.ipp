#pragma once
#include "shunt/lower/pipeline.hpp"

#include <cstddef>
#include <string>

#include "shunt/core/error.hpp"
#include "shunt/lower/detail/pipeline_lowering.hpp"

namespace shunt {

SHUNT_CONSTEXPR program lower(pipeline_job const& job, pipeline_schedule const& schedule,
                              pipeline_tensors const& tensors, message_layout const& layout) {
  validate(job);
  validate(job, tensors);
  if (schedule.order.size() != static_cast<std::size_t>(job.ranks()))
    throw invalid_program(std::to_string(schedule.order.size()) + " lists of operations for " +
                          std::to_string(job.ranks()) + " ranks");
  return detail::pipeline_lowering(job, schedule, tensors, layout).lowered();
}

}  // namespace shunt
