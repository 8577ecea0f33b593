#pragma once
#include "shunt/train/best_policy.hpp"

#include <algorithm>
#include <cstddef>
#include <utility>
#include <vector>

#include "shunt/core/config.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/core/text.hpp"
#include "shunt/train/slow_watch.hpp"

namespace shunt::detail {

/// Restates losses in sixteenths of ticks, in which slow ranks have whole numbers.
SHUNT_INLINE void count_paces(worker_losses& losses, situation const& s) {
  auto const times = [](ticks t) {
    constexpr ticks most = std::int64_t{1} << 58;
    return t < most ? t * slow_verdict::normal : t;
  };
  slow_verdicts own;
  for (rank_id const r : s.now.members) own.push_back(s.paces[r.index()]);
  losses.normal = losses.job.costs;
  for (auto list : {&stage_costs::forward, &stage_costs::backward_input,
                    &stage_costs::backward_weight, &stage_costs::step}) {
    auto all = (losses.job.costs.*list).values();
    for (ticks& t : all) t = times(t);
    (*losses.normal).*list = per_stage(std::move(all));
  }
  losses.job = in_sixteenths(std::move(losses.job), own);
  losses.change.every = times(losses.change.every);
  losses.change.moving = times(losses.change.moving);
  losses.change.within_node /= static_cast<double>(slow_verdict::normal);
  losses.change.between_nodes /= static_cast<double>(slow_verdict::normal);
  losses.until_next = times(losses.until_next);
}

}  // namespace shunt::detail

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
      if (!s.is_dead(r) && !s.is_slow(r) &&
          std::find(s.now.members.begin(), s.now.members.end(), r) == s.now.members.end()) {
        ranks.push_back(r);
        ++losses.spares;
      }
  bool const paced = std::any_of(s.now.members.begin(), s.now.members.end(),
                                 [&](rank_id r) { return s.is_slow(r); });
  if (paced) detail::count_paces(losses, s);
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
  if (paced) {
    answer.objective /= static_cast<double>(slow_verdict::normal);
    answer.lower_bound /= static_cast<double>(slow_verdict::normal);
    auto& links = answer.plan.job.transfer;
    answer.plan.job.costs = s.now.job.costs;
    for (ticks* const t : {&links.within_node, &links.between_nodes}) *t /= slow_verdict::normal;
    for (ticks& t : links.matrix) t /= slow_verdict::normal;
  }
  for (rank_id const r : best.plan.members) answer.plan.members.push_back(ranks[r.index()]);
  answer.plan.schedule = std::move(best.plan.schedule);
  return answer;
}

}  // namespace shunt
