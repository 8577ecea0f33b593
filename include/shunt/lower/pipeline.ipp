#pragma once
#include "shunt/lower/pipeline.hpp"

#include "shunt/core/error.hpp"
#include "shunt/lower/detail/pipeline_lowering.hpp"
#include "shunt/plan/mismatch.hpp"

namespace shunt {

SHUNT_CONSTEXPR program lower(pipeline_job const& job, pipeline_schedule const& schedule,
                              pipeline_tensors const& tensors, message_layout const& layout) {
  validate(job);
  validate(job, tensors);
  if (auto const wrong = mismatch(job, schedule, extent::part); !wrong.empty())
    throw invalid_program(wrong);
  return detail::pipeline_lowering(job, schedule, tensors, layout).lowered();
}

}  // namespace shunt
