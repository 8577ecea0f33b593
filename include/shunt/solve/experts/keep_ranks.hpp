#pragma once
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "shunt/core/config.hpp"
#include "shunt/core/id.hpp"
#include "shunt/core/solution.hpp"
#include "shunt/plan/expert_placement.hpp"
#include "shunt/problem/expert_layers.hpp"
#include "shunt/solve/solver.hpp"

namespace shunt {

/// Deals the rows of a placement (the slots of one rank each) to the ranks such that the most
/// experts stay on their rank of the previous placement. Among all dealings of rank_relabelling
/// moved_experts is least, so it is never more than before; the balance stays the same. An expert
/// that stays on a rank keeps its slot.
/// `eplb{} | keep_ranks{}` follows any solver. Without a previous placement nothing changes.
/// Throws what validate throws.
/// Requires a plan that check accepts.
/// Complexity: O(N^2 s + N^3) per layer for N ranks of s slots.
/// Reference: deepseek-ai/EPLB#25 advises this assignment problem; FlashLB solves it.
struct keep_ranks {
  static constexpr std::string_view name = "keep_ranks";
  static constexpr bool improves = true;

  [[nodiscard]] SHUNT_CONSTEXPR solution<expert_placement> operator()(
      expert_layers const& problem, expert_placement const& plan) const;

 private:
  /// Fills a rank's slots: experts that stay keep their slots, the others take the remaining slots
  /// in ascending order. `spare` is all 0 before and after.
  static SHUNT_CONSTEXPR void settle(std::span<expert_id const> before,
                                     std::span<expert_id const> now,
                                     std::vector<std::int32_t>& spare, std::span<expert_id> slots);
};
static_assert(improver_for<keep_ranks, expert_layers, expert_placement>);

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/solve/experts/keep_ranks.ipp"
#endif
