#pragma once
/// Validated steps: a step stands only if the gradients of all stages are finite and their common
/// norm is within a limit. Stage s steps on the norms of stages 0 .. s. It learns in the next
/// iteration whether the step stands, and rolls it back otherwise. The regions of the operations:
///
///  * norm: gradient, flag -> norms of the stage (gradient_norms)
///  * step: gradient, norms so far, state -> state, record (step_record; pending becomes 1)
///  * validate: norms, record -> redo, again (int64 each)
///  * redo_step: gradient, norms, state, record -> state, record (pending becomes 0)
///
/// See docs/lowering.md.
/// Reference: Qi et al., Zero Bubble (arXiv 2401.10241), section 4 (post-validation).
#include "shunt/lower/validated_program.hpp"
#include "shunt/program/program.hpp"

namespace shunt {

/// Rewrites an iteration of `lower(pipeline_job, pipeline_schedule)` so that its steps are
/// validated.
///
/// Throws invalid_program where a step doesn't read gradient, flag and state, its state isn't
/// copied before, a stage has no worker, a rank has no step, a backward precedes the first
/// gradient, or the ranks deadlock.
/// Complexity: O(n log n) in the number of instructions.
[[nodiscard]] validated_program validated(program const& iteration, validation when,
                                          rollback how = rollback::kept_state);

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/lower/step_validation.ipp"
#endif
