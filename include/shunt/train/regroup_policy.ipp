#pragma once
#include "shunt/train/regroup_policy.hpp"

#include <algorithm>
#include <cstddef>
#include <numeric>
#include <set>
#include <utility>
#include <vector>

#include "shunt/core/config.hpp"
#include "shunt/core/error.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/core/text.hpp"

namespace shunt {

SHUNT_INLINE solution<arrangement> regrouped(situation const& s) {
  solution<arrangement> answer{.plan = {}, .status = status::infeasible};
  auto const workers = workers_of(s.now);
  auto const dead = [&](rank_id r) { return std::binary_search(s.dead.begin(), s.dead.end(), r); };
  std::vector<std::size_t> live;  // ranks of each pipeline
  std::size_t length = 0;
  for (auto const& ranks : workers) {
    std::set<rank_id> const all(ranks.begin(), ranks.end());
    if (length != 0 && length != all.size())
      throw invalid_problem("layout", "regroup takes pipelines of equally many ranks");
    length = all.size();
    live.push_back(length - static_cast<std::size_t>(std::count_if(all.begin(), all.end(), dead)));
  }
  auto const left = static_cast<std::size_t>(s.start.ranks()) - s.dead.size();
  auto const kept = std::min(left / length, workers.size());
  if (kept == 0) {
    answer.reason = text::of(static_cast<std::int64_t>(left)) +
                    " live ranks don't fill a pipeline of " +
                    text::of(static_cast<std::int64_t>(length));
    return answer;
  }
  std::vector<std::size_t> order(workers.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return std::pair(live[b], a) < std::pair(live[a], b);
  });
  order.resize(kept);
  std::sort(order.begin(), order.end());
  worker_ranks next;
  std::set<rank_id> taken;
  for (std::size_t const p : order) {
    next.push_back(workers[p]);
    for (rank_id const r : workers[p])
      if (!dead(r)) taken.insert(r);
  }
  rank_id spare = 0;
  for (auto& ranks : next)
    for (std::size_t i = 0; i < ranks.size(); ++i) {
      rank_id const gone = ranks[i];
      if (!dead(gone)) continue;
      auto const has_stage = std::find_if(workers.begin(), workers.end(), [&](auto const& other) {
        return !dead(other[i]) && !taken.contains(other[i]);
      });
      while (dead(spare) || taken.contains(spare)) ++spare;
      auto const next_rank = has_stage == workers.end() ? spare : (*has_stage)[i];
      taken.insert(next_rank);
      std::replace(ranks.begin(), ranks.end(), gone, next_rank);
    }
  answer.plan = arranged(s.start, next, even_shares(s.start.total_microbatches(), next.size()));
  answer.status = status::feasible;
  return answer;
}

}  // namespace shunt
