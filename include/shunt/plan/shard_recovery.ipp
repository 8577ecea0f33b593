#pragma once
#include "shunt/plan/shard_recovery.hpp"

#include <cstddef>

#include "shunt/core/indexed.hpp"

namespace shunt {

SHUNT_CONSTEXPR std::vector<lost_state> state_lost_with(lost_ranks const& lost,
                                                        shard_map const& map) {
  std::vector<lost_state> all;          // pieces that end before the current expert
  std::vector<lost_state> before, now;  // pieces of the previous and of the current expert
  for (expert_id e : ids<expert_id>(map.shards.size())) {
    now.clear();
    for (shard const& s : map.shards[e]) {
      bool kept = lost.alive(s.owner);
      for (rank_id const r : s.mirrors) kept = kept || lost.alive(r);
      if (kept) continue;
      if (!now.empty() && now.back().end == s.begin)
        now.back().end = s.end;
      else
        now.push_back({e, e, s.begin, s.end});
    }
    bool same = now.size() == before.size();
    for (std::size_t i = 0; same && i < now.size(); ++i)
      same = now[i].begin == before[i].begin && now[i].end == before[i].end;
    if (!same) {
      all.insert(all.end(), before.begin(), before.end());
      before = now;
    }
    for (lost_state& piece : before) piece.last = e;
  }
  all.insert(all.end(), before.begin(), before.end());
  return all;
}

}  // namespace shunt
