#pragma once
#include "shunt/plan/microbatch_owners.hpp"

#include <algorithm>
#include <cstddef>
#include <string>

#include "shunt/core/error.hpp"
#include "shunt/core/indexed.hpp"

namespace shunt {

SHUNT_CONSTEXPR std::int32_t microbatch_owners::microbatches() const {
  return static_cast<std::int32_t>(of.size());
}

SHUNT_CONSTEXPR bool microbatch_owners::alive(rank_id r) const {
  return std::find(of.begin(), of.end(), r) != of.end();
}

SHUNT_CONSTEXPR std::vector<rank_id> microbatch_owners::live() const {
  auto ranks = of;
  std::sort(ranks.begin(), ranks.end());
  ranks.erase(std::unique(ranks.begin(), ranks.end()), ranks.end());
  return ranks;
}

SHUNT_CONSTEXPR std::vector<std::int32_t> microbatch_owners::owned_by(rank_id r) const {
  std::vector<std::int32_t> owned;
  for (std::int32_t k = 0; k < microbatches(); ++k)
    if (of[static_cast<std::size_t>(k)] == r) owned.push_back(k);
  return owned;
}

SHUNT_CONSTEXPR std::int32_t microbatch_owners::most() const {
  std::ptrdiff_t most = 0;
  for (rank_id const r : of) most = std::max(most, std::count(of.begin(), of.end(), r));
  return static_cast<std::int32_t>(most);
}

SHUNT_CONSTEXPR microbatch_owners owners_without(std::vector<rank_id> const& dead,
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
