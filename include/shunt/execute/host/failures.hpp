#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "shunt/core/id.hpp"
#include "shunt/execute/executor.hpp"
#include "shunt/program/dependencies.hpp"
#include "shunt/program/program.hpp"

/// What every executor's session does alike.
namespace shunt {

/// The instruction before which a rank falls silent in this iteration: the lowest that `failures`
/// names. A rank whose list is empty takes no part and can't fall silent.
[[nodiscard]] std::optional<std::int32_t> failure_of(std::span<failure_point const> failures,
                                                     program const& p, rank_id rank,
                                                     std::int64_t iteration);

/// Throws invalid_program unless both programs are for the same number of ranks, at least one.
void require_equal_ranks(program const& first, program const& p);

/// Throws invalid_program, naming the first instruction that `order` leaves out, the serial order
/// of a program that has no whole one.
[[noreturn]] void throw_deadlock(program const& p, std::span<program_point const> order);

/// A rank on its way through a session: until it falls silent, or is stuck waiting for one that is.
struct rank_status {
  std::int32_t fails_before =
      -1;  ///< instruction of the current program before which it falls silent
  bool silent = false;
  bool stuck = false;
  [[nodiscard]] bool runs() const { return !silent && !stuck; }
};

/// How many instructions of its list each rank completes, when all go on as far as their
/// dependencies let them; says in `statuses` what becomes of the ranks. `order` is the program's
/// whole serial order. Conditions are not looked at.
[[nodiscard]] std::vector<std::int32_t> completed_instructions(program const& p,
                                                               dependencies const& d,
                                                               std::span<program_point const> order,
                                                               std::span<rank_status> statuses);

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/execute/host/failures.ipp"
#endif
