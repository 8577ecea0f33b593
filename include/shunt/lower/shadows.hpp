#pragma once
/// Lowers a schedule whose ranks keep the states of further stages up to date: the shadows of
/// redundant computation. A shadow takes part in the reduction of the stage's gradient with a sum
/// of zero, and makes the same step, so its state has the owner's bits. Like every rank it keeps a
/// copy of all its states before the first step. It computes nothing else of the stage but
/// redundant forwards (op_kind::redundant_forward, operands as of a forward).
///
/// Costs per shadow and stage: gradient and flag in the reduction, a step, and memory for state,
/// kept copy and gradient; per redundant forward a copy of its input, and a set of buffers.
/// Reference: Thorpe et al., Bamboo, NSDI 2023.
#include "shunt/core/config.hpp"
#include "shunt/lower/pipeline_buffers.hpp"
#include "shunt/lower/pipeline_messages.hpp"
#include "shunt/plan/pipeline_schedule.hpp"
#include "shunt/plan/redundancy.hpp"
#include "shunt/problem/pipeline_job.hpp"
#include "shunt/program/program.hpp"

namespace shunt {

/// Returns the program of one iteration as `lower` does, with these shadows, by rank of the job.
/// Their steps stand behind those of the schedule, stages ascending.
/// Throws as `lower` does, as `validate_shadows` does, and invalid_program where the schedule
/// staggers its steps: a shadow would join each reduction too late.
/// Complexity: O(operations + shadows).
[[nodiscard]] SHUNT_CONSTEXPR program lower_with_shadows(pipeline_job const& job,
                                                         pipeline_schedule const& schedule,
                                                         held_stages const& shadows,
                                                         pipeline_tensors const& tensors = {},
                                                         message_layout const& layout = {});

/// The same with redundant forwards, each as early as its list lets it: where the operation before
/// it has ended and its output is on the way. Their outputs stay until the iteration ends.
/// Throws as above, and invalid_program where a redundant forward is of a stage that the rank does
/// not shadow, or its input is made on another rank.
/// Requires a schedule that passes `check` (check/redundancy.hpp).
[[nodiscard]] SHUNT_CONSTEXPR program lower_with_shadows(pipeline_job const& job,
                                                         redundant_schedule const& schedule,
                                                         held_stages const& shadows,
                                                         pipeline_tensors const& tensors = {},
                                                         message_layout const& layout = {});

/// Throws invalid_problem where the table has another number of ranks than the job, a dead rank has
/// an entry, or a rank's stages don't ascend, are none of the job's or are its own.
/// Requires a valid job.
SHUNT_CONSTEXPR void validate_shadows(pipeline_job const& job, held_stages const& shadows);

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/lower/shadows.ipp"
#endif
