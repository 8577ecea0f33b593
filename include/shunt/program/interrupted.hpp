#pragma once
#include <vector>

#include "shunt/core/id.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/program/program.hpp"

namespace shunt {

/// Progress of an iteration that not all survivors completed. Some ranks may have begun the next
/// iteration.
struct interrupted_iteration {
  program const& plan;
  program const& next;  ///< of the iteration after it
  bool rest = false;    ///< `plan` was itself the rest of an interrupted iteration
  /// By rank and instruction of `plan`: whether it ended. Empty for lost ranks.
  indexed<rank_id, std::vector<bool>> ran{};
  indexed<rank_id, std::vector<bool>> ran_next{};  ///< the same of `next`
};

}  // namespace shunt
