#pragma once
#include "shunt/check/pipeline_actions.hpp"

#include <cstdint>

#include "shunt/check/detail/actions_checker.hpp"
#include "shunt/core/id.hpp"
#include "shunt/core/indexed.hpp"

namespace shunt {

SHUNT_CONSTEXPR std::vector<pipeline_violation> check(pipeline_job const& job,
                                                      pipeline_schedule const& schedule,
                                                      pipeline_actions const& actions) {
  validate(job);
  return detail::actions_checker(job, schedule, actions).find_violations();
}

SHUNT_CONSTEXPR pipeline_schedule computing_of(pipeline_actions const& actions,
                                               bool staggered_step) {
  pipeline_schedule schedule{.staggered_step = staggered_step};
  schedule.order.resize(actions.lists.size());
  for (rank_id r : ids<rank_id>(actions.lists.size())) {
    auto const list = actions.lists[r];
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
