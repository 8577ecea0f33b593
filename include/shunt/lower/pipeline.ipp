#pragma once
#include "shunt/lower/pipeline.hpp"

#include <cstddef>
#include <string>

#include "shunt/core/error.hpp"
#include "shunt/lower/detail/pipeline_lowering.hpp"
#include "shunt/lower/pipeline_buffers.hpp"
#include "shunt/lower/pipeline_messages.hpp"
#include "shunt/plan/pipeline_schedule.hpp"
#include "shunt/problem/pipeline_job.hpp"
#include "shunt/program/program.hpp"
#include "shunt/core/config.hpp"

namespace shunt {

SHUNT_CONSTEXPR program lower(pipeline_job const& job, pipeline_schedule const& schedule,
                                      pipeline_tensors const& tensors,
                                      message_layout const& layout) {
  validate(job);
  validate(job, tensors);
  if (schedule.order.size() != static_cast<std::size_t>(job.ranks()))
    throw invalid_program(std::to_string(schedule.order.size()) + " lists of operations for " +
                          std::to_string(job.ranks()) + " ranks");
  return detail::pipeline_lowering(job, schedule, tensors, layout).lowered();
}

}  // namespace shunt
