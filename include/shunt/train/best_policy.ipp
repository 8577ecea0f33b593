#pragma once
#include "shunt/train/best_policy.hpp"

#include <algorithm>
#include <cstddef>
#include <utility>
#include <vector>

#include "shunt/core/config.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/core/text.hpp"

namespace shunt {

SHUNT_INLINE solution<arrangement> best_rule::operator()(situation const& s) const {
  worker_losses losses{.job = s.now.job,
                       .state = state,
                       .state_limit = state_limit,
                       .change = change,
                       .until_next = until_next};
  std::vector<rank_id> ranks;  // of the run, those of the job first
  for (rank_id const r : ids<rank_id>(s.now.members.size())) {
    ranks.push_back(s.now.members[r.index()]);
    if (s.is_dead(ranks.back())) losses.job.dead.push_back(losses.job.worker_of(r));
  }
  if (s.now.job.transfer.matrix.empty())
    for (rank_id const r : ids<rank_id>(s.start.ranks()))
      if (!s.is_dead(r) &&
          std::find(s.now.members.begin(), s.now.members.end(), r) == s.now.members.end()) {
        ranks.push_back(r);
        ++losses.spares;
      }
  if (losses.spares == 0 && losses.job.dead.size() == s.now.members.size()) {
    solution<arrangement> none{.plan = {}, .status = status::infeasible};
    none.reason = text("no rank is left: rank ") + text::of(s.now.members.back().value()) +
                  (s.now.members.size() == 1 ? " was the last" : " and all others are dead");
    return none;
  }
  auto best = planner(losses);
  solution<arrangement> answer{.plan = {},
                               .status = best.status,
                               .objective = best.objective,
                               .lower_bound = best.lower_bound,
                               .reason = best.reason};
  if (!best.has_plan()) return answer;
  answer.plan.job = std::move(best.plan.job);
  for (rank_id const r : best.plan.members) answer.plan.members.push_back(ranks[r.index()]);
  answer.plan.schedule = std::move(best.plan.schedule);
  return answer;
}

}  // namespace shunt
