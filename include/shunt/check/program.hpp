#pragma once
#include "shunt/check/program_violation.hpp"
#include "shunt/program/program.hpp"

namespace shunt {

/// Checks a program before it runs. An executor with buffered sends can run a program without
/// violations to its end, with a unique result. Two properties show only at run time: whether the
/// counts of an exchange fit its capacity (executors throw otherwise), and the content beyond these
/// counts, because all that an exchange receives counts as written.
///
/// Returns all violations: of single instructions, and where there is none, of messages,
/// collectives and deadlock, then rank by rank of order and memory. Empty: the program is valid.
/// Complexity: O(n log n) in the number of instructions and regions, times the lanes of a rank
/// where it has several.
[[nodiscard]] program_violations check(program const& p);

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/check/program.ipp"
#endif
