#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "shunt/core/error.hpp"
#include "shunt/core/id.hpp"
#include "shunt/core/indexed.hpp"

namespace shunt {

/// Assignment of an iteration's micro-batches to ranks. Micro-batch k belongs to rank k while that
/// rank lives; afterwards another rank computes it beside its own. Every micro-batch stays a batch
/// of its own with the same shape, so that a loss of ranks changes no bit of a sum over all of
/// them.
struct microbatch_owners {
  /// The rank of each micro-batch. There are as many ranks as micro-batches. A rank without any is
  /// dead.
  std::vector<rank_id> of{};

  [[nodiscard]] constexpr std::int32_t microbatches() const {
    return static_cast<std::int32_t>(of.size());
  }
  [[nodiscard]] constexpr bool alive(rank_id r) const {
    return std::find(of.begin(), of.end(), r) != of.end();
  }
  /// Returns the live ranks, ascending.
  [[nodiscard]] constexpr std::vector<rank_id> live() const {
    auto ranks = of;
    std::sort(ranks.begin(), ranks.end());
    ranks.erase(std::unique(ranks.begin(), ranks.end()), ranks.end());
    return ranks;
  }
  /// Returns the micro-batches of a rank, ascending.
  [[nodiscard]] constexpr std::vector<std::int32_t> owned_by(rank_id r) const {
    std::vector<std::int32_t> owned;
    for (std::int32_t k = 0; k < microbatches(); ++k)
      if (of[static_cast<std::size_t>(k)] == r) owned.push_back(k);
    return owned;
  }
  /// Returns the largest number of micro-batches of a rank.
  [[nodiscard]] constexpr std::int32_t most() const {
    std::ptrdiff_t most = 0;
    for (rank_id const r : of) most = std::max(most, std::count(of.begin(), of.end(), r));
    return static_cast<std::int32_t>(most);
  }

  constexpr bool operator==(microbatch_owners const&) const = default;
};

/// Assigns each live rank its own micro-batch. The micro-batches of dead ranks go in order to the
/// rank that has fewest at that moment, ties to the lowest.
/// Throws invalid_problem where there is no rank, a dead rank doesn't exist, or all are dead.
[[nodiscard]] constexpr microbatch_owners owners_without(std::vector<rank_id> const& dead,
                                                         std::int32_t ranks) {
  if (ranks < 1) throw invalid_problem("ranks", "must be at least 1, is " + std::to_string(ranks));
  std::vector<std::int32_t> owned(static_cast<std::size_t>(ranks), 1);
  for (std::size_t i = 0; i < dead.size(); ++i) {
    if (dead[i] < 0 || dead[i].value() >= ranks)
      throw invalid_problem("dead[" + std::to_string(i) + "]", "is rank " +
                                                                   std::to_string(dead[i].value()) +
                                                                   " of " + std::to_string(ranks));
    owned[dead[i].index()] = 0;
  }
  microbatch_owners owners;
  for (rank_id r : ids<rank_id>(ranks)) {
    rank_id by = r;
    if (owned[r.index()] == 0) {
      by = -1;
      for (rank_id c : ids<rank_id>(ranks))
        if (std::find(dead.begin(), dead.end(), c) == dead.end() &&
            (by < 0 || owned[c.index()] < owned[by.index()]))
          by = c;
      if (by < 0) throw invalid_problem("dead", "no rank is left");
      ++owned[by.index()];
    }
    owners.of.push_back(by);
  }
  return owners;
}

}  // namespace shunt
