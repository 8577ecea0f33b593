#pragma once
#include <cstdint>
#include <vector>

#include "shunt/core/config.hpp"
#include "shunt/core/id.hpp"

namespace shunt {

/// Assignment of an iteration's micro-batches to ranks. Micro-batch k belongs to rank k while that
/// rank lives; afterwards another rank computes it beside its own. Every micro-batch stays a batch
/// of its own with the same shape, so that a loss of ranks changes no bit of a sum over all of
/// them.
struct microbatch_owners {
  /// The rank of each micro-batch. There are as many ranks as micro-batches. A rank without any is
  /// dead.
  std::vector<rank_id> of{};

  [[nodiscard]] SHUNT_CONSTEXPR std::int32_t microbatches() const;
  [[nodiscard]] SHUNT_CONSTEXPR bool alive(rank_id r) const;
  /// Returns the live ranks, ascending.
  [[nodiscard]] SHUNT_CONSTEXPR std::vector<rank_id> live() const;
  /// Returns the micro-batches of a rank, ascending.
  [[nodiscard]] SHUNT_CONSTEXPR std::vector<std::int32_t> owned_by(rank_id r) const;
  /// Returns the largest number of micro-batches of a rank.
  [[nodiscard]] SHUNT_CONSTEXPR std::int32_t most() const;

  bool operator==(microbatch_owners const&) const = default;
};

/// Assigns each live rank its own micro-batch. The micro-batches of dead ranks go in order to the
/// rank that has fewest at that moment, ties to the lowest.
/// Throws invalid_problem where there is no rank, a dead rank doesn't exist, or all are dead.
[[nodiscard]] SHUNT_CONSTEXPR microbatch_owners owners_without(std::vector<rank_id> const& dead,
                                                               std::int32_t ranks);

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/plan/microbatch_owners.ipp"
#endif
