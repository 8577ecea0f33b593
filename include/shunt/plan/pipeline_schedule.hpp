#pragma once
#include <cstdint>
#include <vector>

#include "shunt/core/id.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/core/operation.hpp"
#include "shunt/core/units.hpp"

namespace shunt {

/// The operations of every rank in order, without times. `pipeline_job::rank_of` numbers ranks. A
/// re-routed micro-batch stands in the list of another pipeline's rank. A live rank steps each of
/// its stages once, after all operations of that stage in its list. The list of a dead rank is
/// empty.
struct pipeline_schedule {
  indexed<rank_id, std::vector<operation>> order{};
  /// false: every worker waits for all others before it steps. true: a stage steps as soon as its
  /// live workers have reduced their gradients (SlipStream's staggered optimizer).
  bool staggered_step = false;
  /// Overlapped pairs (DualPipe): `i` in `overlapped[rank]` means that operations i and i + 1 of
  /// the list start and end together. They are a forward and a backward or backward_input of two
  /// micro-batches, in either order. Ascending; pairs share no operation. Empty: there is no pair
  /// on any rank.
  indexed<rank_id, std::vector<std::int32_t>> overlapped{};

  bool operator==(pipeline_schedule const&) const = default;
};

/// The time [start, end) of an operation, in ticks.
struct interval {
  ticks start = 0;
  ticks end = 0;
  bool operator==(interval const&) const = default;
};

/// Start and end of every operation: `times[rank][i]` belongs to `schedule.order[rank][i]`. Both
/// operations of an overlapped pair have the times of the pair.
struct timetable {
  indexed<rank_id, std::vector<interval>> times{};
  bool operator==(timetable const&) const = default;
};

}  // namespace shunt
