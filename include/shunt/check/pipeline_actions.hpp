#pragma once
/// Are these actions the schedule with its messages, and can they be executed?
///
/// The computing of every rank is the schedule's. Every operation finds what it computes from: made
/// before it on its rank or received before it. Every output that is sent was made before, and
/// once; every send has its receive and every receive its send. Between two ranks messages are
/// received in the order in which they are sent, for some transports ignore tags. And even if every
/// send waits for its receive, nobody waits forever under the lanes that the actions name. All
/// broken rules of the schedule come first, then those of messages; what waits forever is asked
/// only where all messages are in order. Linear in the number of actions. Shares no code with
/// lowerings.
#include <cstdint>
#include <vector>

#include "shunt/check/detail/actions_judge.hpp"
#include "shunt/check/pipeline_violation.hpp"
#include "shunt/core/id.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/plan/pipeline_actions.hpp"
#include "shunt/plan/pipeline_schedule.hpp"
#include "shunt/problem/pipeline_job.hpp"

namespace shunt {

/// Every rule that the schedule or its messages break.
[[nodiscard]] constexpr std::vector<pipeline_violation> check(pipeline_job const& job,
                                                              pipeline_schedule const& schedule,
                                                              pipeline_actions const& actions) {
  validate(job);
  return detail::actions_judge(job, schedule, actions).verdict();
}

/// The computing of a list of actions, such as one that was read from a file, as a schedule to be
/// judged with it.
[[nodiscard]] constexpr pipeline_schedule computing_of(pipeline_actions const& actions,
                                                       bool staggered_step) {
  pipeline_schedule schedule{.staggered_step = staggered_step};
  schedule.order.resize(actions.lists.size());
  for (rank_id r : ids<rank_id>(actions.lists.size())) {
    auto const& list = actions.lists[r];
    for (auto const& a : list) {
      if (a.kind != action_kind::compute) continue;
      schedule.order[r].push_back(a.op);
      if (a.lane != pipeline_lanes::second_of_pair) continue;
      if (schedule.overlapped.empty()) schedule.overlapped.resize(actions.lists.size());
      schedule.overlapped[r].push_back(static_cast<std::int32_t>(schedule.order[r].size()) - 2);
    }
  }
  return schedule;
}

}  // namespace shunt
