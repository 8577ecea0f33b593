#pragma once
#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "shunt/core/error.hpp"
#include "shunt/core/id.hpp"
#include "shunt/problem/optimizer_state.hpp"

namespace shunt {

/// Dead ranks among those that hold the optimizer's state. Live ranks keep their numbers.
struct lost_ranks {
  optimizer_state state{};
  std::vector<rank_id> dead{};

  [[nodiscard]] constexpr bool alive(rank_id r) const {
    return std::find(dead.begin(), dead.end(), r) == dead.end();
  }
  constexpr bool operator==(lost_ranks const&) const = default;
};

/// Throws invalid_problem where the state is broken, a dead rank doesn't exist or is named twice,
/// or no rank is left.
constexpr void validate(lost_ranks const& lost) {
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
