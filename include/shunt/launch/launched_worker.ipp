#pragma once
#include "shunt/launch/launched_worker.hpp"

#include <algorithm>

#include "shunt/core/config.hpp"

namespace shunt {

SHUNT_INLINE launched_worker::launched_worker(launched_process const& as, bool joins,
                                              launched_rendezvous::config const& how)
    : rank_(as.rank),
      patience_(how.patience),
      place_(as, joins, how),
      reports_(place_.files(), place_.directory(), as, joins) {}

SHUNT_INLINE bool launched_worker::speaks(std::vector<rank_id> const& dead, std::int32_t first,
                                          std::int32_t step) const {
  while (std::binary_search(dead.begin(), dead.end(), rank_id(first))) first += step;
  return first == rank_;
}

}  // namespace shunt
