#pragma once
/// Steps that are validated: a step stands only if the gradients of all stages are finite, and
/// their common norm is within a limit.
///
/// A staggered step knows the shares of its own stage and of those before it; the others come too
/// late. So a stage steps on what it knows, and is told in the next iteration whether that stands
/// (the optimizer's post-validation of zero bubble pipelines, Qi et al., arXiv 2401.10241, section
/// 4). `validated` rewrites a program of one iteration:
///
///  1. Prefix. After its own reduction stage s computes its share (`norm`), adds what it receives
///  from stage s-1, sends the sum to stage
///     s+1 and steps. All live workers of a stage have the same reduced gradient, so they hold the
///     same bits. No barrier. The period does not change where no stage's step takes longer than
///     that of an earlier stage and the forwards in between together.
///  2. Verdict. The workers of the last stage know the sum when they step, so that their step is
///  final. In the next program it travels
///     back ahead of the first message that each worker gets from somebody who has the verdict: in
///     a pipeline the first gradient. Up to there, in its warm-up, a worker has run forwards alone,
///     with parameters that may have to go. As the verdict never arrives after what the worker
///     waits for anyhow, it costs nothing but the messages.
///  3. Rollback. `validate` turns the verdict into two conditions. Where the step doesn't stand,
///  `again` puts the kept state back and
///     steps once more, by the whole verdict (`step_again`: not at all, or with clipped gradients);
///     `redo` computes and sends again what the warm-up had computed. These instructions are in
///     every program and end at once where the step stands. A rollback costs a copy, a step and the
///     warm-up's forwards; nothing is aborted, nobody agrees on anything, all read the same
///     verdict.
///
/// What runs before the verdict is closed under dependencies: it takes messages only from workers
/// who had no verdict either. So all waiting goes from the warm-up to the verdict, from there to
/// what is done again and then to the rest, each part in the order of the schedule: nothing can
/// wait in a circle. Whatever a message brought before the verdict is brought again, on a channel
/// of its own, before anybody uses it after the verdict.
///
/// Where steps wait for all stages (`before_step`) the same sum, in the same order, goes to the
/// last stage and back before anybody steps; every step is final, and the bits are the same.
/// Regions of the operations:
///
///     norm        gradient, flag                     -> share (step_verdict)
///     step        gradient, verdict so far, state    -> state, record (step_record; pending
///     becomes 1) validate    verdict, record                    -> redo, again (int64 each)
///     step_again  gradient, verdict, state, record   -> state, record (pending becomes 0)
///
/// A verdict with as many stages as there are is whole: then a step that isn't finite is left out
/// and one beyond the limit is made with gradients times the coefficient. Otherwise such a step is
/// best left out: it won't stand. Records follow the state and the kept state in their buffers, at
/// multiples of 8, and gradients become persistent, so that a lost worker between step and verdict
/// changes nothing: the survivors validate under the next plan, and `pending` tells who already
/// has. O(n log n) for n instructions. Asks for the programs of `lower(pipeline_job,
/// pipeline_schedule)`; throws invalid_program where a step has no regions as there, or its state
/// is not copied before, or a stage has no worker, or the ranks can't all come to their ends.
#include "shunt/lower/detail/step_validator.hpp"
#include "shunt/lower/gradient_norms.hpp"
#include "shunt/lower/validated_program.hpp"
#include "shunt/program/program.hpp"

namespace shunt {

/// A pipeline's iteration with steps that are validated, as said at the top of this header.
[[nodiscard]] inline validated_program validated(program const& iteration, validation when,
                                                 rollback how = rollback::kept_state) {
  return detail::step_validator(iteration, when, how)();
}

}  // namespace shunt
