#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "shunt/core/config.hpp"
#include "shunt/core/error.hpp"
#include "shunt/core/id.hpp"

namespace shunt {

/// Divides slots over ranks as evenly as possible. The first ranks get one more where the total
/// isn't a multiple of the ranks.
[[nodiscard]] SHUNT_CONSTEXPR std::vector<std::int32_t> deal_slots(std::int32_t slots,
                                                                   std::int32_t ranks);

/// Mixture-of-experts layers to place: tokens per expert and layer, and the slots of the ranks. All
/// layers have the same experts and the same slots. Each layer is placed independently.
struct expert_layers {
  std::int32_t layers = 1;
  std::int32_t experts = 1;  ///< E, expert classes of a layer
  /// layers x experts, row-major: tokens routed to each expert, before any is dropped.
  std::vector<std::int64_t> loads{};
  /// One entry per rank, 0 for a dead one. The sum is the paper's s N.
  std::vector<std::int32_t> slots_per_rank{};
  /// Consecutive ranks share a node, the last node may hold fewer. 0: all on one node.
  std::int32_t ranks_per_node = 0;
  /// Number of expert groups, in order and of nearly equal size. The experts of a group stay on one
  /// node (EPLB's hierarchical policy, for group-limited routing). 0: no restriction.
  std::int32_t groups = 0;
  /// layers x slots: the current content of the slots, -1 for a slot that holds nothing yet. Empty:
  /// there is none.
  std::vector<expert_id> previous{};
  /// windows x layers x experts: loads of earlier windows, the oldest first.
  std::vector<std::int64_t> history{};
  /// layers x ranks x experts: the loads by the rank that holds the tokens. Empty: unknown.
  std::vector<std::int64_t> sources{};

  [[nodiscard]] SHUNT_CONSTEXPR std::int32_t ranks() const;
  [[nodiscard]] SHUNT_CONSTEXPR std::int32_t slots() const;
  [[nodiscard]] SHUNT_CONSTEXPR std::span<std::int64_t const> loads_of(layer_id l) const;
  [[nodiscard]] SHUNT_CONSTEXPR std::int32_t windows() const;
  [[nodiscard]] SHUNT_CONSTEXPR std::span<std::int64_t const> loads_of(layer_id l,
                                                                       std::int32_t window) const;
  [[nodiscard]] SHUNT_CONSTEXPR std::span<expert_id const> previous_of(layer_id l) const;
  /// Returns the tokens of one rank for each expert of a layer.
  /// Requires `sources`.
  [[nodiscard]] SHUNT_CONSTEXPR std::span<std::int64_t const> sources_of(layer_id l,
                                                                         rank_id source) const;
  [[nodiscard]] SHUNT_CONSTEXPR std::int32_t nodes() const;
  bool operator==(expert_layers const&) const = default;
};

namespace detail {

/// Throws unless no load is negative and the sum times `weight` is below 2^62.
constexpr void validate_loads(std::span<std::int64_t const> row, std::int64_t weight,
                              auto const& name) {
  std::int64_t left = ((std::int64_t{1} << 62) - 1) / weight;
  for (std::size_t e = 0; e < row.size(); ++e) {
    if (row[e] < 0)
      throw invalid_problem(name() + "[" + std::to_string(e) + "]",
                            "must be at least 0, is " + std::to_string(row[e]));
    if (row[e] > left) throw invalid_problem(name(), "its sum times the slots is beyond 62 bits");
    left -= row[e];
  }
}

}  // namespace detail

/// Throws invalid_problem, which names field, row and value, where a size isn't positive, a table
/// has another shape than documented, a load or a number of slots is negative, `groups` is more
/// than the experts, `previous` names an unknown expert, `sources` has other sums than `loads`,
/// slots exceed 31 bits, or the sum of a layer's loads times (slots + experts) exceeds 62 bits.
/// Fewer slots than experts is no error here: solvers answer infeasible.
SHUNT_CONSTEXPR void validate(expert_layers const& p);

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/problem/expert_layers.ipp"
#endif
