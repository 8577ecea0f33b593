#pragma once
#include "shunt/lower/pipeline_messages.hpp"

#include "shunt/core/error.hpp"
#include "shunt/lower/detail/message_placing.hpp"
#include "shunt/lower/detail/pipeline_starts.hpp"
#include "shunt/plan/mismatch.hpp"

namespace shunt {

SHUNT_CONSTEXPR pipeline_actions place_messages(pipeline_job const& job,
                                                pipeline_schedule const& schedule,
                                                message_lanes lanes) {
  validate(job);
  if (auto const wrong = mismatch(job, schedule, extent::part); !wrong.empty())
    throw invalid_program(wrong);
  if (lanes == message_lanes::one_per_edge)
    return detail::message_placing(job, schedule, lanes, nullptr).placed();
  auto starts = detail::starts_of(job, schedule);
  return detail::message_placing(job, schedule, lanes, &starts).placed();
}

}  // namespace shunt
