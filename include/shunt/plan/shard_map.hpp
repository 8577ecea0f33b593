#pragma once
#include <cstdint>
#include <vector>

#include "shunt/core/id.hpp"
#include "shunt/core/indexed.hpp"

namespace shunt {

/// Elements [begin, end) of one expert's parameters, whose optimizer state `owner` keeps.
struct shard {
  rank_id owner{};
  std::int64_t begin = 0;
  std::int64_t end = 0;

  [[nodiscard]] constexpr std::int64_t size() const { return end - begin; }
  constexpr bool operator==(shard const&) const = default;
};

/// Who keeps which part of each expert's optimizer state. The shards of an expert, in ascending order of `begin`, cover its elements
/// exactly; empty shards are left out.
struct shard_map {
  std::int64_t elements = 0;  ///< parameters of one expert
  indexed<expert_id, std::vector<shard>> shards{};

  constexpr bool operator==(shard_map const&) const = default;
};

}  // namespace shunt
