#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "shunt/core/error.hpp"
#include "shunt/execute/executor.hpp"
#include "shunt/program/dependencies.hpp"
#include "shunt/program/program.hpp"

namespace shunt::detail {

/// Returns the lowest instruction before which `failures` let a rank fail in this iteration, the
/// length of its list for its end, or nothing. A rank whose list is empty takes no part and cannot
/// fail; instructions that the list does not have never come.
/// Complexity: O(faults).
[[nodiscard]] std::optional<std::int32_t> failure_of(std::vector<failure_point> const& failures,
                                                     program const& p, rank_id rank,
                                                     std::int64_t iteration);

/// Throws invalid_program unless both programs are for the same number of ranks, at least one.
void require_equal_ranks(program const& first, program const& p);

/// Whether a rank still runs, has failed, or waits for a rank that has failed.
struct rank_status {
  std::int32_t fails_before =
      -1;               ///< instruction of the current program before which it fails; -1: none
  bool silent = false;  ///< it has failed
  bool stuck = false;   ///< it waits for a failed rank, or for one that is stuck itself
  [[nodiscard]] bool runs() const { return !silent && !stuck; }

  /// Lets the rank fail where its next instruction is the one of its injected failure. The next
  /// instruction is the length of the list at its end.
  /// Returns whether the rank can start it.
  bool starts(std::int32_t next);
};

/// Finds how far each rank comes when all go on as far as their dependencies let them. Writes into
/// `statuses` which ranks fail and which are stuck. Conditions are not evaluated.
/// Returns how many instructions of its list each rank completes, by rank.
/// Requires that `order` is the program's whole serial order.
/// Complexity: O(instructions).
[[nodiscard]] std::vector<std::int32_t> completed_instructions(
    program const& p, dependencies const& d, std::vector<program_point> const& order,
    std::span<rank_status> statuses);

}  // namespace shunt::detail

#ifndef SHUNT_COMPILED
#include "shunt/execute/host/failures.ipp"
#endif
