#pragma once
#include "shunt/plan/shard_map.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "shunt/core/id.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/core/config.hpp"

namespace shunt {

SHUNT_CONSTEXPR bool shard::held_by(rank_id r) const {
    return owner == r || std::find(mirrors.begin(), mirrors.end(), r) != mirrors.end();
  }

}  // namespace shunt
