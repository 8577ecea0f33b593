#pragma once
#include "shunt/check/program_violation.hpp"
#include "shunt/program/program.hpp"

namespace shunt {

/// Checks each instruction alone: its ids exist, its regions lie within their buffers and fit its
/// opcode.
///
/// Appends all violations.
/// Returns false where the rules on several instructions can't be checked.
/// Complexity: O(n log n) in the number of instructions.
[[nodiscard]] bool check_shape(program const& p, program_violations& out);

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/check/program_shape.ipp"
#endif
