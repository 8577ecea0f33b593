#pragma once
#include "shunt/check/program_order.hpp"
#include "shunt/check/program_violation.hpp"
#include "shunt/core/id.hpp"
#include "shunt/program/program.hpp"

namespace shunt {

namespace detail {

/// Messages of one channel have no tags, so their order must be fixed on both sides. The same holds
/// for collectives of one group.
void check_unordered(rank_program const& own, rank_id r, lane_order const& order,
                     program_violations& out);

}  // namespace detail

/// Checks the rules between ranks: every message and collective has its counterpart, in the same
/// order on all sides, and no rank waits forever.
///
/// Appends all violations.
/// Requires a program that passes `check_shape`.
/// Complexity: O(n log n) in the number of instructions.
void check_messages(program const& p, program_violations& out);

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/check/program_messages.ipp"
#endif
