#pragma once
#include <cstdint>
#include <vector>

#include "shunt/core/id.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/core/operation.hpp"
#include "shunt/core/units.hpp"

namespace shunt {

/// Who computes what, in which order: no clock, only a list of operations a rank
/// (`pipeline_job::rank_of` numbers ranks). A re-routed micro-batch is one whose operations stand
/// in the list of another pipeline's rank. A live rank steps each of its stages once, after all
/// operations of that stage in its list; the list of a dead one is empty.
struct pipeline_schedule {
  indexed<rank_id, std::vector<operation>> order{};
  /// false: every worker waits for all others before it steps. true: a stage steps as soon as its
  /// own live peers have reduced their gradients (SlipStream's staggered optimizer).
  bool staggered_step = false;
  /// Overlapped pairs: `i` in `overlapped[rank]` says that operations i and i + 1 of the list, a
  /// forward and a fused backward or backward_input in either order, start and end together
  /// (DualPipe). Ascending, pairs don't share operations. Empty: none anywhere.
  indexed<rank_id, std::vector<std::int32_t>> overlapped{};

  constexpr bool operator==(pipeline_schedule const&) const = default;
};

/// The time during which an operation runs, [start, end) in ticks.
struct interval {
  ticks start = 0;
  ticks end = 0;
  constexpr bool operator==(interval const&) const = default;
};

/// Start and end of every operation of a schedule: `times[rank][i]` belongs to
/// `schedule.order[rank][i]`. Both operations of an overlapped pair have the times of the pair.
struct timetable {
  indexed<rank_id, std::vector<interval>> times{};
  constexpr bool operator==(timetable const&) const = default;
};

}  // namespace shunt
