#pragma once
/// Continues an interrupted iteration: terms that survivors finished are kept. The unit is a term
/// of a gradient, one backward_weight of a stage and a micro-batch. Terms are integers, so their
/// sum doesn't depend on their order. `lower_salvageable` reduces gradients out of place,
/// `find_surviving_gradients` says which terms survive, and `rest_of` is the schedule of the
/// missing ones. The rest can be interrupted in turn. Validated steps (lower/step_validation.hpp)
/// are not supported. See docs/lowering.md. Reference: after ReCoVer (arXiv 2605.11215) and Unicron
/// (arXiv 2401.00134), which keep finished micro-batches.
#include <cstdint>
#include <vector>

#include "shunt/core/config.hpp"
#include "shunt/core/id.hpp"
#include "shunt/core/operation.hpp"
#include "shunt/lower/pipeline_buffers.hpp"
#include "shunt/lower/pipeline_messages.hpp"
#include "shunt/plan/pipeline_schedule.hpp"
#include "shunt/plan/surviving_gradients.hpp"
#include "shunt/problem/pipeline_job.hpp"
#include "shunt/program/interrupted.hpp"
#include "shunt/program/program.hpp"

namespace shunt {
namespace detail {

/// Returns all backward_weights of a stage, ascending.
[[nodiscard]] SHUNT_CONSTEXPR std::vector<operation> terms_of(pipeline_job const& job, stage_id s);

}  // namespace detail

/// Returns the sums that live ranks hold of an interrupted iteration, by rank and then by stage, no
/// term twice. `before`: the sums that the iteration began with, where it was itself a rest.
/// Throws invalid_program where a gradient is reduced in place.
/// Requires programs of `lower_salvageable`.
/// Complexity: O(instructions x stages of a rank).
[[nodiscard]] surviving_gradients find_surviving_gradients(pipeline_job const& job,
                                                           interrupted_iteration const& at,
                                                           surviving_gradients const& before = {});

/// Returns the rest of a plan of one iteration without the terms in `kept`. With none it is the
/// plan.
/// Throws invalid_program where the plan is not one of the job (plan/mismatch.hpp).
/// Requires a valid job. Complexity: O(operations).
[[nodiscard]] SHUNT_CONSTEXPR pipeline_schedule rest_of(pipeline_job const& job,
                                                        pipeline_schedule const& plan,
                                                        surviving_gradients const& kept);

/// Lowers the rest of `plan` without the terms in `kept`, as `lower` does, but with reductions out
/// of place, so that finished terms survive an interruption.
/// Throws as `lower` does. Requires, where `kept` isn't empty, the states of the iteration's
/// beginning and the buffers of the interrupted program. The buffers of sums are the same under
/// every plan of a job.
[[nodiscard]] SHUNT_CONSTEXPR program lower_salvageable(pipeline_job const& job,
                                                        pipeline_schedule const& plan,
                                                        surviving_gradients const& kept = {},
                                                        pipeline_tensors const& tensors = {},
                                                        message_layout const& layout = {});

/// Returns the number of terms kept, out of `job.cells()`.
[[nodiscard]] SHUNT_CONSTEXPR std::int64_t terms_in(surviving_gradients const& kept);

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/lower/salvage.ipp"
#endif
