#pragma once
/// Places the messages of a pipeline schedule: sends and receives of each rank, in order, on lanes.
/// Every lane has its messages in the order in which they are needed, so that no layout can
/// deadlock, even if every send waits for its receive. See docs/lowering.md.
#include <cstdint>

#include "shunt/core/config.hpp"
#include "shunt/plan/pipeline_actions.hpp"
#include "shunt/plan/pipeline_schedule.hpp"
#include "shunt/problem/pipeline_job.hpp"

namespace shunt {

/// Layout of messages.
struct message_layout {
  message_lanes lanes = message_lanes::one_per_edge;
  /// Sets of buffers beyond those that a rank's plan needs at once. None are needed where sends are
  /// buffered. Where every send waits for its receive, one spare set lets messages travel ahead.
  std::int32_t spare_sets = 0;

  constexpr message_layout() = default;
  constexpr message_layout(message_lanes l, std::int32_t spare = 0) : lanes(l), spare_sets(spare) {}
  bool operator==(message_layout const&) const = default;
};

/// Returns the schedule with its messages. A gradient that the previous stage doesn't need isn't
/// sent. Between two ranks messages are received in the order in which they are sent.
///
/// Throws invalid_problem where the job is broken.
/// Throws invalid_program where the schedule is not one of the job, nor a part of one
/// (plan/mismatch.hpp), a micro-batch is computed at one stage and not at the next, ranks
/// deadlock, or a rank needs more lanes than there are.
/// Requires a schedule that passes `check`, or the rest of one (lower/salvage.hpp).
/// Complexity: O(operations), times the bytes of the latest start time where edges share lanes.
[[nodiscard]] SHUNT_CONSTEXPR pipeline_actions
place_messages(pipeline_job const& job, pipeline_schedule const& schedule,
               message_lanes lanes = message_lanes::one_per_edge);

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/lower/pipeline_messages.ipp"
#endif
