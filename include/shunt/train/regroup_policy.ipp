#pragma once
#include "shunt/train/regroup_policy.hpp"

#include <algorithm>
#include <cstddef>
#include <numeric>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "shunt/core/config.hpp"
#include "shunt/core/error.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/core/text.hpp"

namespace shunt {

SHUNT_INLINE solution<arrangement> regroup_rule::operator()(situation const& s) const {
  solution<arrangement> answer{.plan = {}, .status = status::infeasible};
  auto const workers = workers_of(s.now);
  std::size_t length = 0;
  for (auto const& ranks : workers) {
    std::set<rank_id> const all(ranks.begin(), ranks.end());
    if (length != 0 && length != all.size())
      throw invalid_problem("layout", "regroup takes pipelines of equally many ranks");
    length = all.size();
  }
  auto const left = static_cast<std::size_t>(s.start.ranks()) - s.dead.size();
  auto const kept = std::min(left / length, workers.size());
  if (kept == 0) {
    answer.reason = text::of(static_cast<std::int64_t>(left)) +
                    " live ranks don't fill a pipeline of " +
                    text::of(static_cast<std::int64_t>(length));
    return answer;
  }
  auto const next = refilled(workers, kept, s);
  answer.plan = arranged(s.start, next, even_shares(s.start.total_microbatches(), next.size()));
  answer.status = status::feasible;
  return answer;
}

SHUNT_INLINE worker_ranks refilled(worker_ranks const& pipelines, std::size_t kept,
                                   situation const& s) {
  auto const dead = [&](rank_id r) { return r < 0 || s.is_dead(r); };
  std::vector<std::size_t> live;  // ranks of each pipeline
  for (auto const& ranks : pipelines) {
    std::set<rank_id> const all(ranks.begin(), ranks.end());
    live.push_back(all.size() -
                   static_cast<std::size_t>(std::count_if(all.begin(), all.end(), dead)));
  }
  std::vector<std::size_t> order(pipelines.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return std::pair(live[b], a) < std::pair(live[a], b);
  });
  order.resize(kept);
  std::sort(order.begin(), order.end());
  worker_ranks next;
  std::set<rank_id> taken;
  for (std::size_t const p : order) {
    next.push_back(pipelines[p]);
    for (rank_id const r : pipelines[p])
      if (!dead(r)) taken.insert(r);
  }
  auto const held = stages_held(s.now, s.start.ranks(), s.dead);
  auto const is_free = [&](rank_id r) { return !dead(r) && !taken.contains(r); };
  for (auto& ranks : next)
    for (std::size_t i = 0; i < ranks.size(); ++i) {
      rank_id const gone = ranks[i];
      if (!dead(gone)) continue;
      std::optional<rank_id> lowest, holder;
      for (rank_id const r : ids<rank_id>(held.size())) {
        if (!is_free(r)) continue;
        auto const& own = held[r.index()];
        if (!lowest) lowest = r;
        if (!holder && std::find(own.begin(), own.end(), stage_id(i)) != own.end()) holder = r;
      }
      auto const next_rank = holder ? *holder : lowest.value();
      taken.insert(next_rank);
      std::replace(ranks.begin(), ranks.end(), gone, next_rank);
    }
  return next;
}

}  // namespace shunt
