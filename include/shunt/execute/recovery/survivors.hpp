#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "shunt/core/id.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/core/units.hpp"
#include "shunt/program/program.hpp"
#include "shunt/program/timeline.hpp"

namespace shunt::detail {

/// Adds ranks to the dead, which stay ascending and unique.
void add_dead(std::vector<rank_id>& dead, std::vector<rank_id> const& more);

/// Returns the ranks of a session that are not dead, ascending. `dead` is ascending.
[[nodiscard]] std::vector<rank_id> survivors(outcome const& result, std::span<rank_id const> dead);

/// Returns the fewest programs that a survivor has completed. A rank whose list in `plan` is empty
/// does not count: it may be dead unnoticed, where the caller's `plan` itself ran programs and lost
/// it.
[[nodiscard]] std::int32_t fewest_programs(outcome const& result, std::span<rank_id const> dead,
                                           program const& plan);

/// Returns the whole programs that a rank is ahead of program `back_to`, and one more where it has
/// stepped in the program `p` in which it was stopped and of which it has run `ran`.
[[nodiscard]] std::int32_t steps_to_undo(program const& p, rank_id r, std::vector<bool> const& ran,
                                         progress const& done, std::int32_t back_to);

/// Returns which instructions of the n-th program `p` of a session the survivors have run, in list
/// order and, where the timeline has more events, lane by lane.
[[nodiscard]] indexed<rank_id, std::vector<bool>> what_ran(outcome const& result,
                                                           std::span<rank_id const> dead,
                                                           program const& p, std::int32_t n);

/// Returns the latest end of an instruction of a lost rank, or 0.
[[nodiscard]] ticks silent_since(outcome const& result);

/// Returns the latest end of an instruction of a session's n-th program, or 0.
[[nodiscard]] ticks last_end(outcome const& result, std::int64_t n);

}  // namespace shunt::detail

#ifndef SHUNT_COMPILED
#include "shunt/execute/recovery/survivors.ipp"
#endif
