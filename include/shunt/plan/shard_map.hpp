#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "shunt/core/id.hpp"
#include "shunt/core/indexed.hpp"

namespace shunt {

/// Elements [begin, end) of one expert's parameters, whose optimizer state `owner` keeps. Mirrors
/// keep the same state: they get the same gradient and step it alike, but only the owner sends
/// weights on.
struct shard {
  rank_id owner{};
  std::int64_t begin = 0;
  std::int64_t end = 0;
  std::vector<rank_id> mirrors{};

  [[nodiscard]] constexpr std::int64_t size() const { return end - begin; }
  [[nodiscard]] constexpr bool held_by(rank_id r) const {
    return owner == r || std::find(mirrors.begin(), mirrors.end(), r) != mirrors.end();
  }
  constexpr bool operator==(shard const&) const = default;
};

/// Who keeps which part of each expert's optimizer state. The shards of an expert, in ascending
/// order of `begin`, cover its elements exactly; empty shards are left out.
struct shard_map {
  std::int64_t elements = 0;  ///< parameters of one expert
  indexed<expert_id, std::vector<shard>> shards{};

  constexpr bool operator==(shard_map const&) const = default;
};

}  // namespace shunt
