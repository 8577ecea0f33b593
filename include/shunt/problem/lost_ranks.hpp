#pragma once
#include <vector>

#include "shunt/core/config.hpp"
#include "shunt/core/id.hpp"
#include "shunt/problem/optimizer_state.hpp"

namespace shunt {

/// Dead ranks among those that hold the optimizer's state. Live ranks keep their numbers.
struct lost_ranks {
  optimizer_state state{};
  std::vector<rank_id> dead{};

  [[nodiscard]] SHUNT_CONSTEXPR bool alive(rank_id r) const;
  bool operator==(lost_ranks const&) const = default;
};

/// Throws invalid_problem where the state is broken, a dead rank doesn't exist or is named twice,
/// or no rank is left.
SHUNT_CONSTEXPR void validate(lost_ranks const& lost);

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/problem/lost_ranks.ipp"
#endif
