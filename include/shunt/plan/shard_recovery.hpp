#pragma once
#include <cstdint>
#include <vector>

#include "shunt/core/config.hpp"
#include "shunt/core/id.hpp"
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

  bool operator==(shard_copy const&) const = default;
};

/// The shard map after a loss of ranks, and the transfers that establish it, ordered by expert,
/// begin and receiver.
struct shard_recovery {
  shard_map map{};
  std::vector<shard_copy> copies{};

  bool operator==(shard_recovery const&) const = default;
};

/// Optimizer state that no live rank holds: elements begin .. end-1 of each of the experts
/// first .. last.
struct lost_state {
  expert_id first{};
  expert_id last{};
  std::int64_t begin = 0;
  std::int64_t end = 0;

  bool operator==(lost_state const&) const = default;
};

/// Returns the state that is lost with these ranks. Neighbouring shards of an expert are merged,
/// and so are neighbouring experts that lose the same elements.
/// Returns nothing where live ranks hold a copy of every shard.
/// Complexity: O(shards x holders x dead ranks).
[[nodiscard]] SHUNT_CONSTEXPR std::vector<lost_state> state_lost_with(lost_ranks const& lost,
                                                                      shard_map const& map);

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/plan/shard_recovery.ipp"
#endif
