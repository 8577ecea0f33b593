#pragma once
/// Checks the messages of a pipeline schedule. Shares no code with lowerings.
#include <vector>

#include "shunt/check/pipeline_violation.hpp"
#include "shunt/core/config.hpp"
#include "shunt/plan/pipeline_actions.hpp"
#include "shunt/plan/pipeline_schedule.hpp"
#include "shunt/problem/pipeline_job.hpp"

namespace shunt {

/// Checks a schedule and its messages:
///
///  * The computes of every rank are those of the schedule.
///  * The input of every operation was made or received on its rank before it.
///  * Every output that is sent was made before, and is sent once. Every send has its receive, and
///    every receive its send.
///  * Between two ranks messages are received in the order in which they are sent, because some
///    transports ignore tags.
///  * No action waits forever under the lanes that the actions name, even if every send waits for
///    its receive. This rule is checked only where all messages are in order.
///
/// Returns all broken rules, first those of the schedule, then those of messages.
/// Throws invalid_problem where the job is broken.
/// Complexity: O(actions).
[[nodiscard]] SHUNT_CONSTEXPR std::vector<pipeline_violation> check(
    pipeline_job const& job, pipeline_schedule const& schedule, pipeline_actions const& actions);

/// Returns the schedule that a list of actions computes, for example actions that were read from a
/// file.
[[nodiscard]] SHUNT_CONSTEXPR pipeline_schedule computing_of(pipeline_actions const& actions,
                                                             bool staggered_step);

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/check/pipeline_actions.ipp"
#endif
