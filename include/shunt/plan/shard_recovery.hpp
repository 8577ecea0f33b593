#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

#include "shunt/core/id.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/plan/shard_map.hpp"
#include "shunt/problem/lost_ranks.hpp"

namespace shunt {

/// A rank brings another one the state of part of an expert.
struct shard_copy {
  expert_id expert{};
  std::int64_t begin = 0;
  std::int64_t end = 0;
  rank_id from{};
  rank_id to{};

  constexpr bool operator==(shard_copy const&) const = default;
};

/// What follows a loss of ranks: who keeps what from now on, and what has to be sent for it. Copies
/// stand by expert, begin and receiver.
struct shard_recovery {
  shard_map map{};
  std::vector<shard_copy> copies{};

  constexpr bool operator==(shard_recovery const&) const = default;
};

/// Optimizer state of some experts that no live rank holds: elements begin .. end-1 of each of the
/// experts first .. last.
struct lost_state {
  expert_id first{};
  expert_id last{};
  std::int64_t begin = 0;
  std::int64_t end = 0;

  constexpr bool operator==(lost_state const&) const = default;
};

/// All that is lost with these ranks, neighbouring shards of an expert as one, and neighbouring
/// experts that lose the same as one, too. Empty: the others hold a copy of every shard. O(shards x
/// holders x dead ranks).
[[nodiscard]] constexpr std::vector<lost_state> state_lost_with(lost_ranks const& lost,
                                                                shard_map const& map) {
  std::vector<lost_state> all, before,
      now;  // pieces that end, those of the expert before, those of this one
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
