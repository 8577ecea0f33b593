#pragma once
/// Are these times ones at which a pipeline schedule can run?
///
/// Every operation takes what it costs (a fused backward the sum of its two parts, an overlapped
/// pair what both take less the gain), starts at 0 or later and not before its predecessor in the
/// list ends, nor before its input is there: at the end of the operation that makes it, plus the
/// transfer where that stands on another rank. Both of an overlapped pair have the same times. A
/// step starts after all operations of its stage, or after all operations at all where the step
/// isn't staggered. Linear in the number of operations. Shares no code with solvers or measures.
#include <vector>

#include "shunt/check/detail/timetable_judge.hpp"
#include "shunt/check/pipeline_violation.hpp"
#include "shunt/plan/pipeline_schedule.hpp"
#include "shunt/problem/pipeline_job.hpp"

namespace shunt {

/// Every rule that the schedule breaks, or, if it breaks none, every rule that the times break.
[[nodiscard]] constexpr std::vector<pipeline_violation> check(pipeline_job const& job,
                                                              pipeline_schedule const& schedule,
                                                              timetable const& table) {
  validate(job);
  return detail::timetable_judge(job, schedule, table).verdict();
}

}  // namespace shunt
