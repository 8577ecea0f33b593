#pragma once
#include "shunt/simulate/detail/links.hpp"

#include <algorithm>

#include "shunt/core/config.hpp"

namespace shunt::detail {

SHUNT_INLINE ticks links::occupy(rank_id from, rank_id to, ticks earliest, ticks occupancy) {
  auto& free_at = free_at_[{from, to}];
  ticks const begin = std::max(earliest, free_at);
  free_at = begin + occupancy;
  return begin;
}

}  // namespace shunt::detail
