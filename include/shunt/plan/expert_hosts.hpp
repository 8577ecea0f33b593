#pragma once
#include <cstdint>
#include <vector>

#include "shunt/core/config.hpp"
#include "shunt/core/id.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/plan/expert_placement.hpp"

namespace shunt {

/// A rank that holds instances of an expert. Its first slot is the representative: the other
/// instances on the rank add into it or copy from it.
/// Reference: SYMI (arXiv 2504.19925), section 4.1.
struct expert_host {
  rank_id rank{};
  std::vector<std::int32_t> slots{};  ///< numbers within the rank, ascending, at least one

  bool operator==(expert_host const&) const = default;
};

/// Returns the hosts of every expert of a layer, by rank, each rank once.
/// Complexity: O(experts + slots).
[[nodiscard]] SHUNT_CONSTEXPR indexed<expert_id, std::vector<expert_host>> hosts_of(
    expert_placement const& placement, layer_id layer);

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/plan/expert_hosts.ipp"
#endif
