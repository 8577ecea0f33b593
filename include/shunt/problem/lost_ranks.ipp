#pragma once
#include "shunt/problem/lost_ranks.hpp"

#include <algorithm>
#include <cstddef>
#include <string>

#include "shunt/core/error.hpp"

namespace shunt {

SHUNT_CONSTEXPR bool lost_ranks::alive(rank_id r) const {
  return std::find(dead.begin(), dead.end(), r) == dead.end();
}

SHUNT_CONSTEXPR void validate(lost_ranks const& lost) {
  validate(lost.state);
  for (std::size_t i = 0; i < lost.dead.size(); ++i) {
    rank_id const r = lost.dead[i];
    auto const before = lost.dead.begin() + static_cast<std::ptrdiff_t>(i);
    if (r < 0 || r.value() >= lost.state.ranks)
      throw invalid_problem("dead[" + std::to_string(i) + "]",
                            "is rank " + std::to_string(r.value()) + " of " +
                                std::to_string(lost.state.ranks));
    if (std::find(lost.dead.begin(), before, r) != before)
      throw invalid_problem("dead[" + std::to_string(i) + "]",
                            "names rank " + std::to_string(r.value()) + " twice");
  }
  if (lost.dead.size() == static_cast<std::size_t>(lost.state.ranks))
    throw invalid_problem("dead", "no rank is left");
}

}  // namespace shunt
