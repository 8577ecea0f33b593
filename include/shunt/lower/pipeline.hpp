#pragma once
/// A pipeline schedule as a program: one iteration of every rank.
///
/// A rank zeroes gradient and flag of each stage it holds and computes its operations in the order
/// of its list. Before a stage's step it reduces gradient (int64 sum) and flag (int64 max) over the
/// live ranks that hold the stage, keeps a copy of the stage's state and steps. Where the step
/// isn't staggered a copy of the flag is also reduced over all live ranks before anybody steps,
/// which makes them wait for each other. A step reads its own stage's flag either way, so that both
/// kinds of step train alike. Regions, in order:
///
///     forward          state, input                                            -> output, stash
///     backward_input   state, input, stash, output_gradient                    -> input_gradient,
///     stash backward_weight  state, input, stash, output_gradient, gradient, flag    -> gradient,
///     flag backward         state, input, stash, output_gradient, gradient, flag    ->
///     input_gradient, stash, gradient, flag step             gradient, flag, state -> state
///
/// Computing stands on lane 0, of an overlapped pair the second on a lane of its own: both start
/// when the inputs of both are there, and what follows waits for both. Reductions have their own
/// lane, in the order in which stages are finished, the same on all ranks. Messages are placed by
/// `place_messages`, on lanes shared as asked, on channel 0 (activations) or 1 (gradients). What a
/// rank hands over to itself is copied. How long a message travels is for the executor's cost model
/// to say.
///
/// A buffer is written again only when what it held was sent and, by the times at which operations
/// start when nothing delays them, taken: so every wait points back in time, and nobody waits in a
/// circle even if every send waits for its receive. That holds where steps stand behind a rank's
/// other operations, as all solvers put them. A rank of several stages that steps amid its
/// operations may wait in a reduction for a peer that waits for it: `check` finds that in the
/// program, inline and streams refuse to run it. Linear in the number of operations. Asks for a
/// schedule that passes `check`, or for what is left of one (lower/salvage.hpp: there
/// micro-batches, gradients of the first stages and backward_weights may be missing); throws
/// invalid_program where one operation's input is made nowhere, where ranks wait for each other, or
/// where a rank needs more lanes than there are.
#include <cstddef>
#include <string>

#include "shunt/core/error.hpp"
#include "shunt/lower/detail/pipeline_lowering.hpp"
#include "shunt/lower/pipeline_buffers.hpp"
#include "shunt/lower/pipeline_messages.hpp"
#include "shunt/plan/pipeline_schedule.hpp"
#include "shunt/problem/pipeline_job.hpp"
#include "shunt/program/program.hpp"

namespace shunt {

/// The program of one iteration. Ranks that are dead in the job have an empty list.
[[nodiscard]] constexpr program lower(pipeline_job const& job, pipeline_schedule const& schedule,
                                      pipeline_tensors const& tensors = {},
                                      message_layout const& layout = {}) {
  validate(job);
  validate(job, tensors);
  if (schedule.order.size() != static_cast<std::size_t>(job.ranks()))
    throw invalid_program(std::to_string(schedule.order.size()) + " lists of operations for " +
                          std::to_string(job.ranks()) + " ranks");
  return detail::pipeline_lowering(job, schedule, tensors, layout).lowered();
}

}  // namespace shunt
