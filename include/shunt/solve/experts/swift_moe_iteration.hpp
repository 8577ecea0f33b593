#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "shunt/core/config.hpp"
#include "shunt/core/id.hpp"
#include "shunt/core/solution.hpp"
#include "shunt/plan/expert_placement.hpp"
#include "shunt/plan/token_split.hpp"
#include "shunt/problem/expert_layers.hpp"
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

  /// The same with another next placement: that of `place`, any solver of expert_layers or callable
  /// like one. It gets the loads, the slots and what they hold. Allocates.
  /// Throws, beside, invalid_problem if it finds no placement, or one with other slots.
  template <class Placer>
  constexpr void operator()(std::span<std::int64_t const> counts, Placer&& place) {
    validate_counts(counts);
    auto layers = layers_now();
    for (std::int32_t l = 0; l < layers.layers; ++l) {
      split(counts, l);
      layers.loads.insert(layers.loads.end(), loads_.begin(), loads_.end());
    }
    take(place(std::as_const(layers)));
  }

  /// Returns one split per layer: the latest counts over the slots of the placement before them.
  [[nodiscard]] SHUNT_CONSTEXPR std::span<token_split const> splits() const;
  /// Returns the placement that the next counts are split over.
  [[nodiscard]] constexpr expert_placement const& placement() const { return placement_; }

 private:
  /// Returns the number of experts.
  /// Throws as the constructor.
  static SHUNT_CONSTEXPR std::size_t checked(expert_placement const& now, std::int64_t capacity);

  SHUNT_CONSTEXPR void validate_counts(std::span<std::int64_t const> counts);
  /// Splits the tokens of a layer. Their sums are the loads afterwards.
  SHUNT_CONSTEXPR void split(std::span<std::int64_t const> counts, layer_id l);
  /// Returns the problem of the next placement, without loads.
  [[nodiscard]] SHUNT_CONSTEXPR expert_layers layers_now() const;
  SHUNT_CONSTEXPR void take(solution<expert_placement> next);

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
