#pragma once
#include <vector>

#include "shunt/core/id.hpp"
#include "shunt/core/operation.hpp"

namespace shunt {

/// What survives of an iteration that was stopped: one stage's sum of weight gradients on one live
/// rank. A micro-batch's term is in one sum of its stage at most; what is in none has to be
/// computed again.
struct kept_gradient {
  rank_id rank{};
  stage_id stage{};
  bool reduced = false;  ///< the rank has it as the reduction left it, all terms of the stage, and
                         ///< no other rank's sum counts
  std::vector<operation>
      terms{};  ///< the backward_weights that it holds, also those of fused backwards; ascending

  constexpr bool operator==(kept_gradient const&) const = default;
};

/// By rank, then by stage. Empty: everything is lost.
using gradient_ledger = std::vector<kept_gradient>;

}  // namespace shunt
