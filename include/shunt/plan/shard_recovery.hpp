#pragma once
#include <cstdint>
#include <vector>

#include "shunt/core/id.hpp"
#include "shunt/plan/shard_map.hpp"

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

/// What follows a loss of ranks: who keeps what from now on, and what has to be sent for it. Copies stand by expert, begin and receiver.
struct shard_recovery {
  shard_map map{};
  std::vector<shard_copy> copies{};

  constexpr bool operator==(shard_recovery const&) const = default;
};

}  // namespace shunt
