#pragma once
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

#include "shunt/core/host_device.hpp"
#include "shunt/plan/expert_placement.hpp"
#include "shunt/problem/expert_layers.hpp"
#include "shunt/solve/author/experts.hpp"
#include "shunt/solve/solver.hpp"

namespace shunt {

namespace detail {

/// The k-th smallest of n values, k counted from 1; reorders them. Quickselect with the median of
/// three: expected O(n).
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

/// Replica counts that add up to `slots`, as near to proportional to the loads as whole numbers
/// from 1 up are: r_i of SYMI's Algorithm 1 (appendix A.3), in integers. Ties go to the lowest
/// index. Without any token all counts are equal, the first experts one more.
///
/// The paper takes one replica from the largest diff = count - goal, or adds one to the smallest,
/// until the sum is right, O(E) a step. Scaled by the total load diffs are whole numbers, and they
/// move in steps of exactly one total, so that the order of the steps is known beforehand. Too few:
/// the k smallest diffs get one each, for all are chosen before one is chosen twice. Too many:
/// first the experts that were lifted to 1 are chosen, which changes no count; from then on all
/// diffs lie within one total, and every round chooses each expert once in descending order of
/// diff, passing over those at 1. Whole rounds are found by bisection, the last one by selection.
///
/// Needs 1 <= experts <= slots, loads >= 0 and (their sum) x (slots + experts) < 2^62. `counts` has
/// one entry an expert, `scratch` two. Expected O(E) where no expert is lifted, O(E log E)
/// otherwise.
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
  std::int64_t* const chosen = scratch + experts;  // what selection reorders
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
    auto const spared = [&](std::int64_t rounds) {  // replicas that so many whole rounds take away
      std::int64_t sum = 0;
      for (std::int32_t i = 0; i < experts; ++i)
        sum += counts[i] - 1 < rounds ? counts[i] - 1 : rounds;
      return sum;
    };
    std::int64_t rounds = 0,
                 beyond =
                     excess + 1;  // excess + 1 rounds take more than the excess, or all there is
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

/// SwiftMoE (SYMI, arXiv 2504.19925, Algorithm 1): every expert gets replicas in proportion to the
/// tokens it received in the iteration before, at least one, and the slots are filled expert by
/// expert, so that an expert's hosts are neighbours.
///
/// Deterministic and cheap enough to run redundantly on every rank: O(S + E log E) a layer. Slots
/// may differ from rank to rank; a layer with no tokens gets equal counts. Infeasible: fewer slots
/// than experts. Throws what validate throws.
struct swift_moe {
  static constexpr std::string_view name = "swift_moe";

  [[nodiscard]] constexpr solution<expert_placement> operator()(
      expert_layers const& problem) const {
    validate(problem);
    auto answer = unplaced(problem);
    if (!answer.has_plan()) return answer;
    auto const experts = static_cast<std::size_t>(problem.experts);
    std::vector<std::int32_t> counts(experts, 0);
    std::vector<std::int64_t> scratch(2 * experts, 0);
    for (layer_id l : ids<layer_id>(problem.layers)) {
      swift_moe_counts(problem.loads_of(l).data(), problem.experts, answer.plan.slots(),
                       counts.data(), scratch.data());
      auto at = answer.plan.layer(l).begin();
      for (std::size_t e = 0; e < experts; ++e)
        for (std::int32_t k = 0; k < counts[e]; ++k) *at++ = e;
    }
    return rated(problem, std::move(answer.plan));
  }
};
static_assert(solver_for<swift_moe, expert_layers>);

}  // namespace shunt
