#pragma once
#include <vector>

#include "shunt/core/id.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/core/operation.hpp"
#include "shunt/core/units.hpp"

namespace shunt {

/// Who computes what, in which order: no clock, only a list of operations a rank (`pipeline_job::rank_of` numbers ranks). A re-routed
/// micro-batch is one whose operations stand in the list of another pipeline's worker. The list of a live worker ends with its step,
/// the list of a dead one is empty.
struct pipeline_schedule {
  indexed<rank_id, std::vector<operation>> order{};
  /// false: every worker waits for all others before it steps. true: a stage steps as soon as its own live peers have reduced their
  /// gradients (SlipStream's staggered optimizer).
  bool staggered_step = false;

  constexpr bool operator==(pipeline_schedule const&) const = default;
};

/// The time during which an operation runs, [start, end) in ticks.
struct interval {
  ticks start = 0;
  ticks end = 0;
  constexpr bool operator==(interval const&) const = default;
};

/// Start and end of every operation of a schedule: `times[rank][i]` belongs to `schedule.order[rank][i]`.
struct timetable {
  indexed<rank_id, std::vector<interval>> times{};
  constexpr bool operator==(timetable const&) const = default;
};

}  // namespace shunt
