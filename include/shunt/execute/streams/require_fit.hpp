#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "shunt/core/error.hpp"
#include "shunt/core/units.hpp"
#include "shunt/execute/stream_system.hpp"
#include "shunt/program/dependencies.hpp"
#include "shunt/program/program.hpp"

namespace shunt::detail {

/// Checks a program for what a device cannot run: messages and collectives whose sizes differ,
/// elements and words at addresses that are no multiple of their size, groups that are too large.
/// Throws invalid_program, naming the first such instruction.
/// Complexity: O(instructions + regions).
void require_fit(program const& p, dependencies const& d);

}  // namespace shunt::detail

#ifndef SHUNT_COMPILED
#include "shunt/execute/streams/require_fit.ipp"
#endif
