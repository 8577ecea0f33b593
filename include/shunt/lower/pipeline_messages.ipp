#pragma once
#include "shunt/lower/pipeline_messages.hpp"

#include <cstddef>
#include <string>

#include "shunt/core/error.hpp"
#include "shunt/lower/detail/message_placing.hpp"
#include "shunt/lower/detail/pipeline_starts.hpp"

namespace shunt {

SHUNT_CONSTEXPR pipeline_actions place_messages(pipeline_job const& job,
                                                pipeline_schedule const& schedule,
                                                message_lanes lanes) {
  validate(job);
  if (schedule.order.size() != static_cast<std::size_t>(job.ranks()))
    throw invalid_program(std::to_string(schedule.order.size()) + " lists of operations for " +
                          std::to_string(job.ranks()) + " ranks");
  if (lanes == message_lanes::one_per_edge)
    return detail::message_placing(job, schedule, lanes, nullptr).placed();
  auto starts = detail::starts_of(job, schedule);
  return detail::message_placing(job, schedule, lanes, &starts).placed();
}

}  // namespace shunt
