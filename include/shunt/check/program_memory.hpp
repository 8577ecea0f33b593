#pragma once
#include "shunt/check/program_order.hpp"
#include "shunt/check/program_violation.hpp"
#include "shunt/core/id.hpp"
#include "shunt/program/program.hpp"

namespace shunt {

/// Checks the memory accesses of one rank: bytes are written before they are read, and two
/// instructions without an order access the same bytes only if both read.
///
/// Appends one violation for each unwritten range that a region reads, and one for each pair of
/// instructions that races.
/// Requires a program that passes `check_shape`.
/// Complexity: O(m log m) in the number of regions, times the lanes where there are several.
void check_memory(rank_program const& own, rank_id r, lane_order const& order,
                  program_violations& out);

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/check/program_memory.ipp"
#endif
