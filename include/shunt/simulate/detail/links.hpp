#pragma once
#include <map>
#include <utility>

#include "shunt/core/id.hpp"
#include "shunt/core/units.hpp"

namespace shunt::detail {

/// The links between ranks in virtual time. A link carries one message at a time, in each
/// direction.
class links {
 public:
  /// Occupies the link from one rank to another for `occupancy` ticks, at `earliest` or when it is
  /// free.
  /// Returns when the occupancy begins.
  /// Complexity: O(log l) for l links in use.
  ticks occupy(rank_id from, rank_id to, ticks earliest, ticks occupancy);

 private:
  std::map<std::pair<rank_id, rank_id>, ticks> free_at_;
};

}  // namespace shunt::detail

#ifndef SHUNT_COMPILED
#include "shunt/simulate/detail/links.ipp"
#endif
