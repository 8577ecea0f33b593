#pragma once
/// Checks a timetable of a pipeline schedule. Shares no code with solvers or measures.
#include <vector>

#include "shunt/check/pipeline_violation.hpp"
#include "shunt/core/config.hpp"
#include "shunt/plan/pipeline_schedule.hpp"
#include "shunt/problem/pipeline_job.hpp"

namespace shunt {

/// Checks a schedule, and then the times of its operations:
///
///  * Every operation takes its cost: a fused backward the sum of its parts, an overlapped pair the
///    sum of both less the gain.
///  * It starts at 0 or later, not before its predecessor in the list ends, and not before its
///  input
///    is there: the end of the operation that makes it, plus the transfer from another rank.
///  * Both operations of an overlapped pair have the same times.
///  * A step starts after all operations of its stage, or of all stages where the step isn't
///    staggered.
///
/// Returns all broken rules of the schedule, or, where there is none, those of the times.
/// Throws invalid_problem where the job is broken.
/// Complexity: O(operations).
[[nodiscard]] SHUNT_CONSTEXPR std::vector<pipeline_violation> check(
    pipeline_job const& job, pipeline_schedule const& schedule, timetable const& table);

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/check/pipeline_times.ipp"
#endif
