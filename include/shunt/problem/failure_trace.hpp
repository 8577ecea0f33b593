#pragma once
/// Traces of failures: nodes that come and go while a job runs.
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "shunt/core/config.hpp"
#include "shunt/core/id.hpp"

namespace shunt {

/// A node that leaves or comes, at a time.
struct failure_event {
  std::int64_t milliseconds = 0;  ///< at least 0
  node_id node{};                 ///< index into the names of the trace
  bool removed = false;           ///< otherwise added

  bool operator==(failure_event const&) const = default;
};

/// Nodes that come and go while a job runs, in order of time. No node is there before it is added.
/// Events of one time happen at once.
struct failure_trace {
  std::vector<std::string> nodes{};  ///< names by node id
  std::vector<failure_event> events{};
  std::int64_t end = 0;  ///< milliseconds, not before the last event

  bool operator==(failure_trace const&) const = default;
};

/// Throws invalid_problem, which names the event and its value, where there is no event, a time is
/// below 0 or before that of the event in front of it or behind the end, a node is not one of
/// `nodes`, is added while it is there, or removed while it is not.
void validate(failure_trace const& trace);

/// The nodes that are there between two times at which something changes.
struct live_interval {
  std::int64_t begin = 0, end = 0;  ///< milliseconds
  std::vector<node_id> live{};      ///< ascending
  bool removed = false;             ///< a node left at `begin`
  bool added = false;               ///< a node came at `begin`
  /// The last event at `begin`, as an index into the events of the trace.
  std::int32_t event = 0;

  bool operator==(live_interval const&) const = default;
};

/// Returns the intervals of a trace from its first event to its end, in order, none of them empty.
/// The nodes of the first time begin the trace, which is neither removal nor addition.
/// Throws invalid_problem where the trace is broken.
/// Complexity: O(events + intervals x live nodes).
[[nodiscard]] std::vector<live_interval> live_intervals(failure_trace const& trace);

/// Returns a trace of so many live nodes: each pair is a time in milliseconds and the number from
/// then on; the last time is the end. The highest nodes leave first, the lowest come first.
/// Throws invalid_problem, which names the pair, where there are less than two, a time is below 0
/// or not above the one before, or a number is not from 0 to 2^20; and where the first is 0.
[[nodiscard]] failure_trace trace_of_counts(
    std::vector<std::pair<std::int64_t, std::int32_t>> const& counts);

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/problem/failure_trace.ipp"
#endif
