#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "shunt/core/config.hpp"
#include "shunt/core/id.hpp"
#include "shunt/plan/expert_placement.hpp"
#include "shunt/problem/expert_layers.hpp"

namespace shunt {

/// Returns a problem as it is for the live ranks: a dead rank keeps its number and has no slots,
/// and `previous` lacks what it held. A rank that has joined is live and holds -1 in `previous`.
/// Tokens that `sources` has on a dead rank stay there.
/// Throws invalid_problem("live") unless there is one entry a rank and one rank is live, and
/// invalid_problem("previous") where it is neither empty nor a row of all slots for each layer.
/// Complexity: O(layers x slots).
[[nodiscard]] SHUNT_CONSTEXPR expert_layers on_live_ranks(expert_layers problem,
                                                          std::vector<bool> const& live);

/// Returns what the slots of all ranks hold under a placement on the live ones, layers x slots: -1
/// in the slots of a dead rank. It is a `previous` for the next call.
/// Requires a rank of the plan for each entry of `slots_per_rank`, with that many slots or none.
[[nodiscard]] SHUNT_CONSTEXPR std::vector<expert_id> on_all_ranks(
    expert_placement const& plan, std::span<std::int32_t const> slots_per_rank);

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/plan/live_ranks.ipp"
#endif
