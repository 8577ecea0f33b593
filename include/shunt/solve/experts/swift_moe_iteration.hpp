#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "shunt/core/config.hpp"
#include "shunt/plan/expert_placement.hpp"
#include "shunt/plan/token_split.hpp"
#include "shunt/problem/routed_tokens.hpp"
#include "shunt/solve/experts/search/split_rule.hpp"

namespace shunt {

/// The decisions of SwiftMoE in an iteration, for all layers in one call: from the counted tokens,
/// the split of the tokens over the slots of the current placement (capacity_split) and the next
/// placement (swift_moe). Every rank that has the same counts decides the same, so that only the
/// counts are exchanged. Allocates when it is constructed, not when it is called.
/// Complexity: O(layers x ranks x (slots + experts)) per call.
/// Reference: SYMI, arXiv 2504.19925, Algorithm 1.
class swift_moe_iteration {
 public:
  /// Starts with the placement `now` of any solver; a slot takes `capacity` tokens.
  /// Throws invalid_problem if the placement has no layer, expert or rank, an expert has no slot,
  /// or the capacity is negative.
  SHUNT_CONSTEXPR explicit swift_moe_iteration(expert_placement now,
                                               std::int64_t capacity = dropless);

  /// Decides from `counts`, layers x ranks x experts: the tokens of that rank routed to that
  /// expert.
  /// Throws invalid_problem if the number of counts differs, one is negative, or an expert has 2^31
  /// tokens or more. Then only splits() may have changed.
  SHUNT_CONSTEXPR void operator()(std::span<std::int64_t const> counts);

  /// Returns one split per layer: the latest counts over the slots of the placement before them.
  [[nodiscard]] constexpr std::span<token_split const> splits() const { return splits_; }
  /// Returns the placement that the next counts are split over.
  [[nodiscard]] constexpr expert_placement const& placement() const { return placement_; }

 private:
  /// Returns the number of experts.
  /// Throws as the constructor.
  static SHUNT_CONSTEXPR std::size_t checked(expert_placement const& now, std::int64_t capacity);

  SHUNT_CONSTEXPR void require_small(std::span<std::int64_t const> row, std::size_t l);

  std::int64_t capacity_;
  std::vector<std::int64_t> loads_;
  std::vector<std::int32_t> replicas_;
  std::vector<std::int64_t> scratch_;
  detail::split_rule split_;
  std::vector<token_split> splits_;
  expert_placement placement_;
};

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/solve/experts/swift_moe_iteration.ipp"
#endif
