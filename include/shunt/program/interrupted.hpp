#pragma once
#include <vector>

#include "shunt/core/id.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/program/program.hpp"

namespace shunt {

/// How far an iteration came that not all survivors completed. Ranks may be ahead: they have begun
/// the next one.
struct interrupted_iteration {
  program const& plan;
  program const& next;  ///< of the iteration after it
  bool rest = false;    ///< `plan` was itself the rest of an iteration that had been interrupted
  indexed<rank_id, std::vector<bool>>
      ran{};  ///< of `plan`, by instruction: those that ended; none of lost ranks
  indexed<rank_id, std::vector<bool>> ran_next{};  ///< the same of `next`
};

}  // namespace shunt
