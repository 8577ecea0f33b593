#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "shunt/core/error.hpp"
#include "shunt/execute/executor.hpp"
#include "shunt/program/program.hpp"

/// What every executor's session does alike.
namespace shunt {

/// The instruction before which a rank falls silent in this iteration: the lowest that `faults` names. A rank whose list is empty takes
/// no part and can't fall silent.
[[nodiscard]] inline std::optional<std::int32_t> strike_of(std::span<fault const> faults, program const& p, rank_id rank,
                                                           std::int64_t iteration) {
  std::optional<std::int32_t> first;
  if (p.ranks[rank].instructions.empty()) return first;
  for (fault const& f : faults)
    if (f.rank == rank && f.iteration == iteration && (!first || f.instruction < *first)) first = f.instruction;
  return first;
}

/// Throws invalid_program unless both programs are for the same number of ranks, at least one.
inline void same_ranks(program const& first, program const& p) {
  if (p.ranks.empty()) throw invalid_program("the program is for no ranks");
  if (p.ranks.size() != first.ranks.size())
    throw invalid_program("the program is for " + std::to_string(p.ranks.size()) + " ranks, the session for " +
                          std::to_string(first.ranks.size()));
}

}  // namespace shunt
