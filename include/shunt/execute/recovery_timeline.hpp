#pragma once
#include "shunt/execute/recovery.hpp"
#include "shunt/program/timeline.hpp"

namespace shunt {

/// Returns the events of all sessions on one clock, in nanoseconds: each begins where the last
/// event of the one before ends. Iterations are counted over the whole run.
[[nodiscard]] timeline timeline_of(recovery_report const& report);

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/execute/recovery_timeline.ipp"
#endif
