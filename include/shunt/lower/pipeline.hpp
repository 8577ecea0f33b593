#pragma once
/// Lowers a pipeline schedule to the program of one iteration. The regions of each operation:
///
///  * forward: state, input -> output, stash
///  * backward_input: state, input, stash, output_gradient -> input_gradient, stash
///  * backward_weight: state, input, stash, output_gradient, gradient, flag -> gradient, flag
///  * backward: state, input, stash, output_gradient, gradient, flag -> input_gradient, stash,
///    gradient, flag
///  * step: gradient, flag, state -> state
///
/// See docs/lowering.md.
#include "shunt/core/config.hpp"
#include "shunt/lower/pipeline_buffers.hpp"
#include "shunt/lower/pipeline_messages.hpp"
#include "shunt/plan/pipeline_schedule.hpp"
#include "shunt/problem/pipeline_job.hpp"
#include "shunt/program/program.hpp"

namespace shunt {

/// Returns the program of one iteration. Every rank zeroes its sums, computes its list, reduces
/// gradient and flag of a stage over the live ranks that hold it, keeps a copy of the state and
/// steps. Dead ranks have an empty list. A schedule that `check` accepts has a program that can't
/// deadlock, even if every send waits for its receive.
///
/// Throws invalid_problem where job or tensors are broken.
/// Throws invalid_program where the schedule is not one of the job, nor a part of one
/// (plan/mismatch.hpp), the input of an operation is made nowhere, ranks deadlock, or a rank needs
/// more lanes than there are.
/// Requires a schedule that passes `check`, or the rest of one (lower/salvage.hpp), which may lack
/// micro-batches, gradients of the first stages and backward_weights.
/// Complexity: O(operations).
[[nodiscard]] SHUNT_CONSTEXPR program lower(pipeline_job const& job,
                                            pipeline_schedule const& schedule,
                                            pipeline_tensors const& tensors = {},
                                            message_layout const& layout = {});

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/lower/pipeline.ipp"
#endif
