#pragma once
/// Start and end of every operation of a pipeline schedule.
/// An operation starts as soon as its predecessor in the list has ended and its input has arrived,
/// an overlapped pair as soon as both operations may. A step starts when the last operation of its
/// stage has ended on all live ranks, or every operation if the step is not staggered.
/// Over many iterations a rank starts its next list when its own has ended. With a staggered step,
/// stage groups then drift apart until group c starts r_c after the earliest one in every
/// iteration. The distance of iterations settles at the least Theta for which starts r exist with
/// r_c + Theta >= end of group c, steps included.
/// Complexity: linear in the operations n; `steady_start` takes O(C n + C^3 log Theta) and C^2
/// memory for C stage groups.
#include <limits>
#include <vector>

#include "shunt/core/config.hpp"
#include "shunt/core/units.hpp"
#include "shunt/measure/operation_graph.hpp"
#include "shunt/measure/stage_groups.hpp"
#include "shunt/plan/pipeline_schedule.hpp"
#include "shunt/problem/pipeline_job.hpp"

namespace shunt {

/// The ticks at which each stage group may start its first operation; empty: all at 0.
using stage_group_starts = std::vector<ticks>;

namespace detail {

inline constexpr ticks no_start = std::numeric_limits<ticks>::min() / 2;

/// Sets the ends of the nodes of a graph. Groups that start `no_start` take no part, nor do nodes
/// that depend on no participating node.
SHUNT_CONSTEXPR void run(pipeline_job const& job, pipeline_schedule const& schedule,
                         stage_groups const& in, operation_graph const& graph,
                         stage_group_starts const& start, std::vector<ticks>& end);

/// Throws std::invalid_argument where the schedule is not one of the job, nor a part of one.
SHUNT_CONSTEXPR void require_match(pipeline_job const& job, pipeline_schedule const& schedule);
/// Throws std::invalid_argument where the timetable is not one of the schedule.
SHUNT_CONSTEXPR void require_match(pipeline_schedule const& schedule, timetable const& table);

SHUNT_CONSTEXPR timetable table_of(pipeline_job const& job, pipeline_schedule const& schedule,
                                   stage_groups const& in, operation_graph const& graph,
                                   stage_group_starts const& start);

/// Sets the starts that attain the period theta. path[c][d]: longest path from the start of c to
/// the end of d.
/// Returns false if theta is below the least period.
SHUNT_CONSTEXPR bool settles(std::vector<stage_group_starts> const& path, ticks theta,
                             stage_group_starts& start);

/// Returns the least theta in [low, high] that settles, and sets the starts that attain it.
/// Requires that high settles.
SHUNT_CONSTEXPR ticks least_theta(std::vector<stage_group_starts> const& path, ticks low,
                                  ticks high, stage_group_starts& start);

SHUNT_CONSTEXPR stage_group_starts steady_start(pipeline_job const& job,
                                                pipeline_schedule const& schedule,
                                                stage_groups const& in,
                                                operation_graph const& graph);

}  // namespace detail

/// Returns the timetable of a single iteration in which stage group c of `stage_groups(job)` may
/// start at `start[c]`: what an executor does with one program.
/// Throws std::invalid_argument if the schedule is not one of the job, nor a part of one
/// (plan/mismatch.hpp), or the ranks' orders wait for each other.
[[nodiscard]] SHUNT_CONSTEXPR timetable times(pipeline_job const& job,
                                              pipeline_schedule const& schedule,
                                              stage_group_starts const& start = {});

/// Returns the starts of the stage groups in the steady state of many iterations, the earliest at
/// 0; all 0 if the step is not staggered. They attain the least period Theta, the largest cycle
/// mean of A[c][d], the longest path from the start of group c to the end of group d. This requires
/// the ranks of a group to end together, as they do if their steps are last in one order; otherwise
/// Theta is an upper bound. Theta is an integer, rounded up.
/// Throws std::invalid_argument if the schedule is not one of the job, nor a part of one
/// (plan/mismatch.hpp), or the ranks' orders wait for each other.
[[nodiscard]] SHUNT_CONSTEXPR stage_group_starts steady_start(pipeline_job const& job,
                                                              pipeline_schedule const& schedule);

/// Returns the timetable of one iteration in the steady state.
/// Throws std::invalid_argument if the schedule is not one of the job, nor a part of one
/// (plan/mismatch.hpp), or the ranks' orders wait for each other.
[[nodiscard]] SHUNT_CONSTEXPR timetable steady_times(pipeline_job const& job,
                                                     pipeline_schedule const& schedule);

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/measure/times.ipp"
#endif
