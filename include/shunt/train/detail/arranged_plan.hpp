#pragma once
#include <algorithm>
#include <cstddef>
#include <utility>

#include "shunt/core/error.hpp"
#include "shunt/core/id.hpp"
#include "shunt/core/units.hpp"
#include "shunt/lower/pipeline_buffers.hpp"
#include "shunt/measure/pipeline.hpp"
#include "shunt/train/arrangement.hpp"
#include "shunt/train/pipeline_training.hpp"
#include "shunt/train/planned_iteration.hpp"
#include "shunt/train/slow_watch.hpp"
#include "shunt/train/training_policy.hpp"

namespace shunt::detail {

/// Plans an iteration of an arrangement under a policy. Where ranks are slow the costs are theirs,
/// and the policy's schedule for these costs holds, or the arrangement's own if that is no slower.
/// No rank gets other stages. `paces`: by rank of the run; empty: none is slow.
/// Throws invalid_problem, with the policy's reason, where there is no schedule, and as `planned`.
template <training_policy Policy>
[[nodiscard]] planned_iteration arranged_plan(Policy const& policy, arrangement a,
                                              slow_verdicts const& paces,
                                              pipeline_tensors const& tensors, rollback how) {
  slow_verdicts mine(a.members.size());
  for (rank_id const r : ids<rank_id>(paces.empty() ? 0 : mine.size()))
    mine[r] = paces[a.members[r.index()]];
  bool const slow =
      std::any_of(mine.begin(), mine.end(), [](slow_verdict const& v) { return v.slow(); });
  if (slow) {
    a.job = in_sixteenths(std::move(a.job), mine);
    if (auto anew = policy.schedule(a.job); anew.has_plan() && !a.schedule.order.empty() &&
                                            period(a.job, anew.plan) < period(a.job, a.schedule))
      a.schedule = std::move(anew.plan);
  }
  auto answer = schedule_under(policy, a);
  if (!answer.has_plan()) throw invalid_problem("plan", answer.reason);
  auto plan = [&] {
    if constexpr (requires { policy.repeated(a, answer.plan); })
      if (auto all = policy.repeated(a, answer.plan))
        return planned(a.job, std::move(*all), tensors, a.shadows);
    return planned(a.job, std::move(answer.plan), tensors, iteration_form::plain, how, a.shadows);
  }();
  if (slow) plan.count_in(slow_verdict::normal);
  return plan;
}

}  // namespace shunt::detail
