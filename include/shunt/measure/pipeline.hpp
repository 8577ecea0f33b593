#pragma once
/// The costs of a pipeline schedule.
///
///     makespan    end of the last forward or backward of a single iteration
///     period      distance of iterations in a long run, step included
///     bubble      share of a period in which a live rank neither computes nor steps, mean of ranks
///     stash peak  the most that a rank holds at once, in units of the job's stash weights
///
/// D = 3, S = 4, M = 6, unit costs, step 3, 1F1B: makespan 27, period 30, bubble 9/30.
/// Complexity: linear in the number of operations; period and bubble of a staggered schedule cost
/// as much as `steady_start`.
/// Reference: SlipStream, figure 3.
#include <cstdint>

#include "shunt/core/config.hpp"
#include "shunt/core/id.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/core/units.hpp"
#include "shunt/plan/pipeline_schedule.hpp"
#include "shunt/problem/pipeline_job.hpp"

namespace shunt {

/// Returns the makespan that a timetable gives, in ticks.
/// Throws std::invalid_argument if the timetable is not one of the schedule.
[[nodiscard]] SHUNT_CONSTEXPR ticks makespan(pipeline_schedule const& schedule,
                                             timetable const& table);
/// Returns the makespan of a single iteration, in ticks.
/// Throws std::invalid_argument if the schedule is not one of the job, nor a part of one
/// (plan/mismatch.hpp), or the ranks' orders wait for each other.
[[nodiscard]] SHUNT_CONSTEXPR ticks makespan(pipeline_job const& job,
                                             pipeline_schedule const& schedule);

/// Returns the longest time that a rank spends in its steps, in ticks.
[[nodiscard]] SHUNT_CONSTEXPR ticks longest_step(pipeline_job const& job);

/// Returns the period that a timetable gives. Staggered: the largest over stage groups of (latest
/// end - earliest start over the group's live ranks, steps included). Otherwise: makespan + the
/// longest step.
/// Throws std::invalid_argument if the timetable is not one of the schedule, or the schedule of
/// another number of ranks than the job.
[[nodiscard]] SHUNT_CONSTEXPR ticks period(pipeline_job const& job,
                                           pipeline_schedule const& schedule,
                                           timetable const& table);
/// Returns the period at the starts of `steady_start`, the least of any times of the schedule.
/// Throws std::invalid_argument if the schedule is not one of the job, nor a part of one
/// (plan/mismatch.hpp), or the ranks' orders wait for each other.
[[nodiscard]] SHUNT_CONSTEXPR ticks period(pipeline_job const& job,
                                           pipeline_schedule const& schedule);

/// Returns the bubble share of a schedule, from 0 to 1.
/// Throws std::invalid_argument if the schedule is not one of the job, nor a part of one
/// (plan/mismatch.hpp), or the ranks' orders wait for each other.
[[nodiscard]] SHUNT_CONSTEXPR double bubble_share(pipeline_job const& job,
                                                  pipeline_schedule const& schedule);

/// As above, of a schedule whose period takes `length` ticks.
/// Throws std::invalid_argument if the schedule is not one of the job, nor a part of one.
[[nodiscard]] SHUNT_CONSTEXPR double bubble_share(pipeline_job const& job,
                                                  pipeline_schedule const& schedule, ticks length);

/// Returns the stash peak of each rank, in units of the job's stash weights (micro-batches by
/// default). In an overlapped pair the forward counts before the backward.
/// Throws std::invalid_argument if the schedule is not one of the job, nor a part of one.
[[nodiscard]] SHUNT_CONSTEXPR indexed<rank_id, std::int64_t> stash_peak(
    pipeline_job const& job, pipeline_schedule const& schedule);

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/measure/pipeline.ipp"
#endif
