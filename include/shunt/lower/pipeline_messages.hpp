#pragma once
/// Puts the messages of a pipeline schedule in place: which rank sends and receives what, in which
/// order, on which lanes.
///
/// Messages stand in every lane in the order in which they are needed: a receive right before the
/// operation that needs it, a send as soon as its operation and all that go before it in its lane
/// have been. With a lane an edge, needed means by the order of the receiver's list; where an edge
/// shares its lane with others, by the times at which operations start when nothing delays them
/// (`pipeline_starts`).
///
/// So no layout can deadlock, even if every send waits for its receive. Number messages by the
/// start of the operation that needs them. The message of the lowest number that was not taken yet
/// was made, for its producer started earlier and needs lower numbers alone, and heads its lane on
/// both sides. With a lane an edge: whatever stands before a message on its edge is needed earlier
/// by the same receiver, so the queue delays nothing that could have started. Between two ranks
/// messages are sent and received in one order in every layout: a transport may ignore tags. With
/// transfers that take no time no layout delays any operation; with others one_per_edge delays
/// none, one_per_peer and one_per_rank those whose messages cross.
///
/// Linear in the number of operations (times the bytes of a start's ticks where lanes are shared).
/// Asks for a schedule that passes `check`, or for what is left of one (lower/salvage.hpp): a
/// gradient that the stage before doesn't need isn't sent.
/// Throws invalid_program where a micro-batch is computed at one stage and not at the next, where
/// ranks wait for each other, or where a rank needs more lanes than there are.
#include <cstddef>
#include <cstdint>
#include <string>

#include "shunt/core/error.hpp"
#include "shunt/lower/detail/message_placing.hpp"
#include "shunt/lower/detail/pipeline_starts.hpp"
#include "shunt/plan/pipeline_actions.hpp"
#include "shunt/plan/pipeline_schedule.hpp"
#include "shunt/problem/pipeline_job.hpp"

namespace shunt {

/// How messages are to travel.
struct message_layout {
  message_lanes lanes = message_lanes::one_per_edge;
  /// Sets of buffers a rank has beyond those that its plan needs at once. With none the next
  /// activation is received only when the last set was freed, right before it is needed: nothing is
  /// lost where sends are buffered. Where every send waits for its receive, one spare set lets
  /// messages travel ahead.
  std::int32_t spare_sets = 0;

  constexpr message_layout() = default;
  constexpr message_layout(message_lanes l, std::int32_t spare = 0) : lanes(l), spare_sets(spare) {}
  constexpr bool operator==(message_layout const&) const = default;
};

/// The schedule with its messages.
/// Throws invalid_problem where the job is broken, invalid_program as said above.
[[nodiscard]] constexpr pipeline_actions place_messages(
    pipeline_job const& job, pipeline_schedule const& schedule,
    message_lanes lanes = message_lanes::one_per_edge) {
  validate(job);
  if (schedule.order.size() != static_cast<std::size_t>(job.ranks()))
    throw invalid_program(std::to_string(schedule.order.size()) + " lists of operations for " +
                          std::to_string(job.ranks()) + " ranks");
  if (lanes == message_lanes::one_per_edge)
    return detail::message_placing(job, schedule, lanes, nullptr).placed();
  auto starts = detail::starts_of(job, schedule);
  return detail::message_placing(job, schedule, lanes, &starts).placed();
}

}  // namespace shunt
