#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "shunt/core/config.hpp"
#include "shunt/core/id.hpp"
#include "shunt/plan/shard_map.hpp"
#include "shunt/problem/optimizer_state.hpp"

namespace shunt {

/// One error in a shard map. `index` counts the shards of the expert.
struct shard_violation {
  enum class kind : std::uint8_t {
    expert_count,   ///< of the plan
    element_count,  ///< of the plan
    unknown_owner,  ///< a shard's owner isn't a rank
    bad_mirror,     ///< a shard's mirror isn't a rank, is its owner, or is named twice
    empty_shard,    ///< a shard without elements, or that ends before it begins
    /// A shard begins after the previous one ends, or the last ends early (`index` is then the
    /// number of shards).
    gap,
    /// A shard begins before the previous one ends, or the last exceeds the elements.
    overlap,
  };
  kind what{};
  expert_id expert{};
  std::int64_t index = 0;
  std::int64_t found = 0;
  std::int64_t wanted = 0;

  bool operator==(shard_violation const&) const = default;
};

/// Returns one line that names the place, the error and the numbers.
[[nodiscard]] std::string to_string(shard_violation const& v);

/// Checks a shard map: the shards of every expert are ascending, cover its elements exactly, are
/// owned by a rank and mirrored by other ranks, each once.
/// Returns all errors. Empty: the plan is valid.
[[nodiscard]] SHUNT_CONSTEXPR std::vector<shard_violation> check(optimizer_state const& problem,
                                                                 shard_map const& plan);

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/check/shard_map.ipp"
#endif
