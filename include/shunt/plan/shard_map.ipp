#pragma once
#include "shunt/plan/shard_map.hpp"

#include <algorithm>

namespace shunt {

SHUNT_CONSTEXPR bool shard::held_by(rank_id r) const {
  return owner == r || std::find(mirrors.begin(), mirrors.end(), r) != mirrors.end();
}

}  // namespace shunt
