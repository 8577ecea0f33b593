#pragma once
#include <cstdint>
#include <string_view>

#include "shunt/core/config.hpp"
#include "shunt/core/host_device.hpp"
#include "shunt/core/solution.hpp"
#include "shunt/plan/expert_placement.hpp"
#include "shunt/problem/expert_layers.hpp"
#include "shunt/solve/solver.hpp"

namespace shunt {

namespace detail {

/// Returns the k-th smallest of n values, k counted from 1, and reorders them. Quickselect with the
/// median of three.
/// Complexity: expected O(n).
SHUNT_HD constexpr std::int64_t kth_smallest(std::int64_t* values, std::int32_t n, std::int32_t k) {
  std::int32_t low = 0, high = n - 1;
  std::int32_t const wanted = k - 1;
  while (low < high) {
    std::int64_t const a = values[low], b = values[low + (high - low) / 2], c = values[high];
    std::int64_t const pivot =
        a < b ? (b < c ? b : (a < c ? c : a)) : (a < c ? a : (b < c ? c : b));
    std::int32_t i = low, j = high;
    while (i <= j) {
      while (values[i] < pivot) ++i;
      while (values[j] > pivot) --j;
      if (i <= j) {
        std::int64_t const kept = values[i];
        values[i++] = values[j];
        values[j--] = kept;
      }
    }
    if (wanted <= j) {
      high = j;
    } else if (wanted >= i) {
      low = i;
    } else {
      break;
    }
  }
  return values[wanted];
}

}  // namespace detail

/// Sets replica counts that sum to `slots`, as near to proportional to the loads as whole numbers
/// from 1 up are: r_i of SYMI's Algorithm 1, in integers. Ties go to the lowest index. Without
/// tokens all counts are equal, the first experts one more. `counts` has one entry per expert,
/// `scratch` two.
/// See docs/expert-solvers.md.
/// Requires 1 <= experts <= slots, loads >= 0 and (their sum) x (slots + experts) < 2^62.
/// Complexity: expected O(E) if no expert is lifted to 1, otherwise O(E log E).
/// Reference: SYMI, arXiv 2504.19925, appendix A.3.
SHUNT_HD constexpr void swift_moe_counts(std::int64_t const* loads, std::int32_t experts,
                                         std::int32_t slots, std::int32_t* counts,
                                         std::int64_t* scratch) {
  std::int64_t total = 0;
  for (std::int32_t i = 0; i < experts; ++i) total += loads[i];
  if (total == 0) {
    for (std::int32_t i = 0; i < experts; ++i) counts[i] = slots / experts + (i < slots % experts);
    return;
  }
  std::int64_t* const diff = scratch;
  std::int64_t* const chosen = scratch + experts;  // reordered by selection
  std::int64_t excess = -slots;
  for (std::int32_t i = 0; i < experts; ++i) {
    std::int64_t const goal = loads[i] * slots;  // times the total
    std::int64_t const floor = goal / total;
    counts[i] = floor > 1 ? static_cast<std::int32_t>(floor) : 1;
    diff[i] = counts[i] * total - goal;
    excess += counts[i];
  }
  if (excess == 0) return;

  std::int32_t const step = excess < 0 ? 1 : -1;
  std::int32_t candidates = 0;
  if (excess > 0) {
    // replicas that so many whole rounds remove
    auto const spared = [&](std::int64_t rounds) {
      std::int64_t sum = 0;
      for (std::int32_t i = 0; i < experts; ++i)
        sum += counts[i] - 1 < rounds ? counts[i] - 1 : rounds;
      return sum;
    };
    std::int64_t rounds = 0,
                 // this many rounds remove more than the excess, or all there is
        beyond = excess + 1;
    while (beyond - rounds > 1) {
      std::int64_t const middle = rounds + (beyond - rounds) / 2;
      (spared(middle) <= excess ? rounds : beyond) = middle;
    }
    excess -= spared(rounds);
    for (std::int32_t i = 0; i < experts; ++i)
      counts[i] = counts[i] - 1 < rounds ? 1 : counts[i] - static_cast<std::int32_t>(rounds);
    for (std::int32_t i = 0; i < experts; ++i) {
      diff[i] = -diff[i];  // from here on the smallest is chosen in both cases
      if (counts[i] > 1) chosen[candidates++] = diff[i];
    }
  } else {
    excess = -excess;
    for (; candidates < experts; ++candidates) chosen[candidates] = diff[candidates];
  }
  if (excess == 0) return;

  std::int64_t const last =
      detail::kth_smallest(chosen, candidates, static_cast<std::int32_t>(excess));
  for (std::int32_t i = 0; i < experts; ++i) {
    if (diff[i] >= last || (step < 0 && counts[i] == 1)) continue;
    counts[i] += step;
    --excess;
  }
  for (std::int32_t i = 0; excess > 0; ++i) {
    if (diff[i] != last || (step < 0 && counts[i] == 1)) continue;
    counts[i] += step;
    --excess;
  }
}

/// SwiftMoE: every expert gets replicas in proportion to its tokens in the previous iteration, at
/// least one, and the slots are filled expert by expert, so that an expert's hosts are neighbours.
/// Cheap enough to run redundantly on every rank. Slots may differ between ranks; a layer without
/// tokens gets equal counts. Infeasible: fewer slots than experts.
/// Throws what validate throws.
/// Complexity: O(S + E log E) per layer.
/// Reference: SYMI, arXiv 2504.19925, Algorithm 1.
struct swift_moe {
  static constexpr std::string_view name = "swift_moe";

  [[nodiscard]] SHUNT_CONSTEXPR solution<expert_placement> operator()(
      expert_layers const& problem) const;
};
static_assert(solver_for<swift_moe, expert_layers>);

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/solve/experts/swift_moe.ipp"
#endif
