#pragma once
#include <cstdint>
#include <vector>

#include "shunt/core/config.hpp"
#include "shunt/core/id.hpp"
#include "shunt/core/indexed.hpp"

namespace shunt {

/// Elements [begin, end) of one expert's parameters. `owner` holds their optimizer state. Mirrors
/// hold the same state, get the same gradient and apply the same step. Only the owner sends
/// weights.
struct shard {
  rank_id owner{};
  std::int64_t begin = 0;
  std::int64_t end = 0;
  std::vector<rank_id> mirrors{};

  [[nodiscard]] constexpr std::int64_t size() const { return end - begin; }
  [[nodiscard]] SHUNT_CONSTEXPR bool held_by(rank_id r) const;
  bool operator==(shard const&) const = default;
};

/// Division of each expert's optimizer state over ranks. The shards of an expert are ascending in
/// `begin` and cover its elements exactly. There are no empty shards.
struct shard_map {
  std::int64_t elements = 0;  ///< parameters of one expert
  indexed<expert_id, std::vector<shard>> shards{};

  bool operator==(shard_map const&) const = default;
};

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/plan/shard_map.ipp"
#endif
