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

/// Who brings the tokens of an iteration. Micro-batch k is that of rank k as long as it lives; when
/// it is gone another rank carries it beside its own. Every micro-batch stays a batch of its own,
/// with the same shape wherever it is computed, so that a loss of ranks changes no bit of what is
/// summed over all of them.
struct token_carriers {
  std::vector<rank_id> of{};  ///< one entry a micro-batch; as many ranks as micro-batches are
                              ///< numbered, those without any are gone

  [[nodiscard]] constexpr std::int32_t microbatches() const {
    return static_cast<std::int32_t>(of.size());
  }
  [[nodiscard]] constexpr bool alive(rank_id r) const {
    return std::find(of.begin(), of.end(), r) != of.end();
  }
  /// Ranks that carry any, ascending.
  [[nodiscard]] constexpr std::vector<rank_id> live() const {
    auto ranks = of;
    std::sort(ranks.begin(), ranks.end());
    ranks.erase(std::unique(ranks.begin(), ranks.end()), ranks.end());
    return ranks;
  }
  /// The micro-batches of a rank, ascending.
  [[nodiscard]] constexpr std::vector<std::int32_t> carried_by(rank_id r) const {
    std::vector<std::int32_t> carried;
    for (std::int32_t k = 0; k < microbatches(); ++k)
      if (of[static_cast<std::size_t>(k)] == r) carried.push_back(k);
    return carried;
  }
  /// Micro-batches of the rank that carries most.
  [[nodiscard]] constexpr std::int32_t most() const {
    std::ptrdiff_t most = 0;
    for (rank_id const r : of) most = std::max(most, std::count(of.begin(), of.end(), r));
    return static_cast<std::int32_t>(most);
  }

  constexpr bool operator==(token_carriers const&) const = default;
};

/// Live ranks carry their own micro-batches; those of dead ranks go, in order, to the rank that
/// then carries fewest, ties to the lowest. Throws invalid_problem where there is no rank, a dead
/// rank isn't one, or all are dead.
[[nodiscard]] constexpr token_carriers carriers_without(std::vector<rank_id> const& dead,
                                                        std::int32_t ranks) {
  if (ranks < 1) throw invalid_problem("ranks", "must be at least 1, is " + std::to_string(ranks));
  std::vector<std::int32_t> carried(static_cast<std::size_t>(ranks), 1);
  for (std::size_t i = 0; i < dead.size(); ++i) {
    if (dead[i] < 0 || dead[i].value() >= ranks)
      throw invalid_problem("dead[" + std::to_string(i) + "]", "is rank " +
                                                                   std::to_string(dead[i].value()) +
                                                                   " of " + std::to_string(ranks));
    carried[dead[i].index()] = 0;
  }
  token_carriers carriers;
  for (rank_id r : ids<rank_id>(ranks)) {
    rank_id by = r;
    if (carried[r.index()] == 0) {
      by = -1;
      for (rank_id c : ids<rank_id>(ranks))
        if (std::find(dead.begin(), dead.end(), c) == dead.end() &&
            (by < 0 || carried[c.index()] < carried[by.index()]))
          by = c;
      if (by < 0) throw invalid_problem("dead", "no rank is left");
      ++carried[by.index()];
    }
    carriers.of.push_back(by);
  }
  return carriers;
}

}  // namespace shunt
