#pragma once
#include <cstdint>
#include <vector>

#include "shunt/core/id.hpp"

namespace shunt {

/// One layer's state, from a rank that has it to ranks that need it.
struct layer_copy {
  layer_id layer{};
  rank_id from{};
  std::vector<rank_id> to{};

  bool operator==(layer_copy const&) const = default;
};

/// Pipelines after a loss of ranks, and what their ranks must receive before they go on.
struct reconfiguration {
  std::vector<std::vector<rank_id>> pipelines{};  ///< ranks in the order of their stages
  /// Ordered by layer; of one layer in the order in which their receivers come in the pipelines.
  std::vector<layer_copy> copies{};
  std::vector<layer_id> lost_layers{};  ///< no live rank has them
  /// Layers that a live rank has, but no rank that keeps them: the published rule stops there.
  std::vector<layer_id> published_stops{};

  bool operator==(reconfiguration const&) const = default;
};

}  // namespace shunt
