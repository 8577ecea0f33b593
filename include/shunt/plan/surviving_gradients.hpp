#pragma once
#include <vector>

#include "shunt/core/id.hpp"
#include "shunt/core/operation.hpp"

namespace shunt {

/// A surviving part of an interrupted iteration: one stage's sum of weight gradients on one live
/// rank. A micro-batch's term is in at most one sum of its stage. A term that is in no sum must be
/// computed again.
struct surviving_gradient {
  rank_id rank{};
  stage_id stage{};
  /// The sum is the result of the reduction, with all terms of the stage. No other rank's sum
  /// counts.
  bool reduced = false;
  /// The backward_weights in the sum, also those of fused backwards; ascending.
  std::vector<operation> terms{};

  bool operator==(surviving_gradient const&) const = default;
};

/// All surviving sums, by rank and then by stage. Empty: nothing survived.
using surviving_gradients = std::vector<surviving_gradient>;

}  // namespace shunt
