#pragma once
#include <cstdint>
#include <string_view>
#include <vector>

#include "shunt/core/config.hpp"
#include "shunt/core/id.hpp"
#include "shunt/core/solution.hpp"
#include "shunt/plan/expert_placement.hpp"
#include "shunt/plan/token_split.hpp"
#include "shunt/problem/routed_tokens.hpp"
#include "shunt/solve/solver.hpp"

namespace shunt {

/// Splits tokens exactly over the replicas of their experts. SYMI leaves the rule open; this is the
/// rule of Lazarus' dispatcher in integers.
/// An expert with T tokens and r slots of capacity C keeps K = min(T, r C) of them; each slot takes
/// K/r, the first K mod r one more. The T - K drops are shared by the sources in proportion to
/// their tokens: the first i sources together drop the floor of their share. A rank's tokens go to
/// its own slots first; the rest goes to the other slots in proportion to their remaining room. The
/// caller chooses which tokens of a rank drop; in order, the last ones.
/// Objective: tokens dropped; the lower bound, the sum of T - K, is always met. No split with these
/// sums per slot and these drops keeps more tokens on their own rank. Infeasible: without a
/// capacity, an expert that has tokens but no slot.
/// See docs/expert-solvers.md.
/// Throws what validate throws.
/// Complexity: O(ranks x (slots + experts)).
/// Reference: Lazarus, arXiv 2407.04656.
struct capacity_split {
  static constexpr std::string_view name = "capacity_split";

  [[nodiscard]] SHUNT_CONSTEXPR solution<token_split> operator()(
      routed_tokens const& problem) const;
};
static_assert(solver_for<capacity_split, routed_tokens>);

/// Returns the routed tokens of one layer on the slots of a placement. `counts` is ranks x experts,
/// row by row.
[[nodiscard]] SHUNT_CONSTEXPR routed_tokens routed(expert_placement const& placement,
                                                   layer_id layer, std::vector<std::int64_t> counts,
                                                   std::int64_t capacity = dropless);

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/solve/experts/capacity_split.ipp"
#endif
