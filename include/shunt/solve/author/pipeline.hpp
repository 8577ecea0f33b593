#pragma once
/// What authors of pipeline solvers share: layout checks, texts, empty schedules and the evaluation
/// of a finished schedule.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "shunt/core/config.hpp"
#include "shunt/core/id.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/core/solution.hpp"
#include "shunt/core/text.hpp"
#include "shunt/plan/pipeline_schedule.hpp"
#include "shunt/problem/pipeline_job.hpp"
#include "shunt/problem/stage_layout.hpp"
#include "shunt/problem/stage_runs.hpp"

namespace shunt {

/// Returns "pipeline:stage" of a worker, such as "1:2".
[[nodiscard]] SHUNT_CONSTEXPR text describe(worker w);

/// Checks the layout for a solver that supports one shape. With one chunk, linear, looped and wave
/// layouts are the same, and so is a custom one with a rank for each worker, in any order.
/// Throws invalid_problem, naming `layout`, where the job has another shape, or a number of stages
/// per rank other than `chunks` (0: any number).
SHUNT_CONSTEXPR void require_layout(pipeline_job const& job, std::string_view solver,
                                    stage_layout::shape wanted, std::int32_t chunks = 0);

/// Returns the run of stages of every rank, for a solver of linear layouts that also takes custom
/// ones whose ranks have consecutive stages of one pipeline.
/// Throws invalid_problem, naming `layout`, where the job has another layout.
[[nodiscard]] SHUNT_CONSTEXPR indexed<rank_id, stage_run> required_runs(pipeline_job const& job,
                                                                        std::string_view solver);

/// Checks the micro-batches for a solver of pipelines that share ranks in pairs, 2k and 2k + 1.
/// Throws invalid_problem, naming `microbatches`, where those of a pair differ.
/// Requires an even number of pipelines.
SHUNT_CONSTEXPR void require_equal_pairs(pipeline_job const& job, std::string_view solver);

/// Checks the number of stages for a solver that folds the pipeline in the middle.
/// Throws invalid_problem, naming `stages`, where the number is odd.
SHUNT_CONSTEXPR void require_even_stages(pipeline_job const& job, std::string_view solver);

/// Evaluates a schedule. It is infeasible where a stage has no live worker, where a dead worker has
/// operations, where it is not a whole schedule of the job (plan/mismatch.hpp), where a worker
/// stashes more than its cap, or where workers wait for each other.
/// Returns the schedule with its period and the lower bound for its kind of step, or with the
/// reason why it is infeasible. The bound holds for all plans, with fused and with split backwards.
/// Requires a valid job.
[[nodiscard]] SHUNT_CONSTEXPR solution<pipeline_schedule> evaluated(pipeline_job const& job,
                                                                    pipeline_schedule schedule);

namespace detail {

/// Returns whether a schedule has operations that the job doesn't have, with all its ranks alive.
[[nodiscard]] SHUNT_CONSTEXPR bool is_foreign(pipeline_job job, pipeline_schedule const& schedule);

}  // namespace detail

/// Returns a schedule with one empty list per rank, each with capacity for `room` operations.
[[nodiscard]] SHUNT_CONSTEXPR pipeline_schedule empty_schedule(pipeline_job const& job,
                                                               std::size_t room = 0);

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/solve/author/pipeline.ipp"
#endif
