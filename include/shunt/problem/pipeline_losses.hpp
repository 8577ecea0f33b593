#pragma once
#include <cstdint>
#include <vector>

#include "shunt/core/id.hpp"

namespace shunt {

/// Running pipelines of different lengths, one stage a rank, and ranks lost at once.
struct pipeline_losses {
  std::vector<std::vector<rank_id>> pipelines{};  ///< ranks in the order of their stages
  std::vector<rank_id> lost{};
  std::int32_t minimum = 1;         ///< n_min, ranks of the shortest pipeline allowed
  std::int32_t ranks_per_node = 0;  ///< consecutive ranks that share a node; 0: each its own

  bool operator==(pipeline_losses const&) const = default;
};

/// Throws invalid_problem, which names the place and the rank, where there is no pipeline, one has
/// no rank, a rank is negative or stands twice, a lost rank is in no pipeline or is named twice,
/// `minimum` is below 1 or `ranks_per_node` below 0.
void validate(pipeline_losses const& losses);

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/problem/pipeline_losses.ipp"
#endif
