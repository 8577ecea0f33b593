#pragma once
#include "shunt/core/config.hpp"
#include "shunt/plan/redundancy.hpp"
#include "shunt/problem/pipeline_job.hpp"

namespace shunt {

/// Returns the times of a single iteration. A redundant forward takes as long as the forward that
/// it repeats. It starts when the operation before it ends: its input was made on its rank.
/// Throws std::invalid_argument where the plain schedule is not one of the job, nor a part of one
/// (plan/mismatch.hpp), has overlapped pairs, or can't be executed; and where redundant forwards
/// aren't one list a rank, or one is none of the job, stands twice or has no place in its list.
/// Complexity: linear in the number of operations.
[[nodiscard]] SHUNT_CONSTEXPR redundant_timetable times(pipeline_job const& job,
                                                        redundant_schedule const& schedule);

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/measure/redundant_times.ipp"
#endif
