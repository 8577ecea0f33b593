#pragma once
#include <cstdint>
#include <span>

#include "shunt/core/config.hpp"
#include "shunt/core/id.hpp"
#include "shunt/plan/expert_placement.hpp"

namespace shunt {

/// Returns the least possible number of tokens on the fullest rank of a layer if an expert's tokens
/// may go to its replicas in any whole shares: the optimum of the exact token split, where
/// max_over_mean rates the even split. Returns -1 if an expert has tokens but no replica.
/// M tokens per rank suffice if and only if no set A of experts has more than M |N(A)| tokens, N(A)
/// the ranks that hold any expert of A (Hall; a flow from experts to ranks). Starting at M = ceil(W
/// / L), shortest augmenting paths fill the flow. If tokens remain, the experts reached from there
/// form a set A that is too large, and M = ceil(w(A) / |N(A)|) is the next candidate (Newton's
/// method, never too high).
/// Complexity: few candidates, O(paths x E N) each.
[[nodiscard]] SHUNT_CONSTEXPR std::int64_t exact_split_load(std::span<std::int64_t const> loads,
                                                            expert_placement const& placement,
                                                            layer_id layer);

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/measure/exact_split.ipp"
#endif
