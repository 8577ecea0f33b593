#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

#include "shunt/core/id.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/plan/shard_map.hpp"
#include "shunt/problem/lost_ranks.hpp"

namespace shunt {

/// One transfer: the optimizer state of part of an expert.
struct shard_copy {
  expert_id expert{};
  std::int64_t begin = 0;
  std::int64_t end = 0;
  rank_id from{};
  rank_id to{};

  constexpr bool operator==(shard_copy const&) const = default;
};

/// The shard map after a loss of ranks, and the transfers that establish it, ordered by expert,
/// begin and receiver.
struct shard_recovery {
  shard_map map{};
  std::vector<shard_copy> copies{};

  constexpr bool operator==(shard_recovery const&) const = default;
};

/// Optimizer state that no live rank holds: elements begin .. end-1 of each of the experts
/// first .. last.
struct lost_state {
  expert_id first{};
  expert_id last{};
  std::int64_t begin = 0;
  std::int64_t end = 0;

  constexpr bool operator==(lost_state const&) const = default;
};

/// Returns the state that is lost with these ranks. Neighbouring shards of an expert are merged,
/// and so are neighbouring experts that lose the same elements.
/// Returns nothing where live ranks hold a copy of every shard.
/// Complexity: O(shards x holders x dead ranks).
[[nodiscard]] constexpr std::vector<lost_state> state_lost_with(lost_ranks const& lost,
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
