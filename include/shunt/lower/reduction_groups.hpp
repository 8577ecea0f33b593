#pragma once
#include <cstdint>
#include <vector>

#include "shunt/core/config.hpp"
#include "shunt/core/id.hpp"
#include "shunt/plan/expert_placement.hpp"

namespace shunt {

/// A collective in which the hosts of an expert reduce its gradient.
struct reduction_group {
  expert_id expert{};
  std::int32_t round = 0;          ///< 0 or 1; groups of one round share no rank
  std::vector<rank_id> members{};  ///< ascending

  bool operator==(reduction_group const&) const = default;
};

/// Returns the reduction groups of a layer, by round and then by first member. Communicators exist
/// only for intervals of neighbouring ranks. An expert gets a group where its hosts are such an
/// interval and a round has none of them in a group yet. A rank is in at most two groups. Experts
/// are visited by first host, and the earlier round is preferred. See docs/lowering.md.
/// Complexity: O(slots + experts log experts).
/// Reference: SYMI (arXiv 2504.19925), section 4.2.
[[nodiscard]] SHUNT_CONSTEXPR std::vector<reduction_group> reduction_groups(
    expert_placement const& placement, layer_id layer);

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/lower/reduction_groups.ipp"
#endif
