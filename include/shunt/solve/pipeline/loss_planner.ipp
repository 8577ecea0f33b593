#pragma once
#include "shunt/solve/pipeline/loss_planner.hpp"

#include <utility>

#include "shunt/core/config.hpp"
#include "shunt/core/id.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/core/text.hpp"
#include "shunt/measure/loss_bounds.hpp"
#include "shunt/solve/pipeline/search/loss_search.hpp"

namespace shunt::detail {

/// Returns why no rank can go on, or nothing where that is not known.
SHUNT_INLINE text why_no_rank(worker_losses const& losses) {
  auto const& job = losses.job;
  auto const live = job.ranks() - static_cast<std::int32_t>(job.dead.size());
  if (live == 0 && job.ranks() == 1) return "no rank is left: the only one is dead";
  if (live == 0) return text("no rank is left: all ") + text::of(job.ranks()) + " are dead";
  if (auto const s = stage_without_worker(job))
    return text("stage ") + text::of(s->value()) + " has no live worker: its state is lost";
  if (losses.state_limit == 0) return {};
  byte_count all = 0;
  for (stage_id s : ids<stage_id>(job.stages)) {
    auto const bytes = losses.state[s];
    all += bytes;
    if (bytes > losses.state_limit)
      return text("the state of stage ") + text::of(s.value()) + " has " + text::of(bytes) +
             " bytes, the limit of a rank is " + text::of(losses.state_limit);
  }
  if (ceil_divide(all, losses.state_limit) > live + losses.spares)
    return text("the states have ") + text::of(all) + " bytes, the limit of " +
           text::of(live + losses.spares) + " live ranks is " + text::of(losses.state_limit) +
           " each";
  return {};
}

}  // namespace shunt::detail

namespace shunt {

SHUNT_INLINE solution<loss_plan> loss_planner::operator()(worker_losses const& losses) const {
  validate(losses);
  solution<loss_plan> answer{.plan = {}, .status = status::infeasible};
  answer.reason = detail::why_no_rank(losses);
  if (!answer.reason.empty()) return answer;
  auto const bound = static_cast<double>(period_bound(losses));
  auto const within = static_cast<double>(losses.until_next),
             every = static_cast<double>(losses.change.every);
  answer.lower_bound = within > every ? bound * within / (within - every) : bound;
  detail::loss_search search(losses, effort, candidates);
  auto best = search.search();
  if (!best) {
    answer.plan.moves = search.prices();
    answer.reason = "no move has a plan";
    for (auto const& m : answer.plan.moves)
      if (!m.reason.empty())
        answer.reason += std::string(answer.reason == "no move has a plan" ? ": " : "; ") +
                         std::string(to_string(m.what)) + ": " + std::string(m.reason);
    return answer;
  }
  answer.plan = *std::move(best);
  for (auto const& m : answer.plan.moves)
    if (m.what == answer.plan.move) answer.objective = m.price;
  answer.status = answer.objective <= answer.lower_bound ? status::optimal : status::feasible;
  return answer;
}

}  // namespace shunt
