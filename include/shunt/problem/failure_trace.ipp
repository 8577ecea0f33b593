#pragma once
#include "shunt/problem/failure_trace.hpp"

#include <algorithm>
#include <cstddef>

#include "shunt/core/error.hpp"

namespace shunt {

SHUNT_INLINE void validate(failure_trace const& trace) {
  if (trace.events.empty()) throw invalid_problem("events", "is empty");
  std::vector<bool> there(trace.nodes.size(), false);
  std::int64_t before = 0;
  for (std::size_t i = 0; i < trace.events.size(); ++i) {
    auto const& [at, node, removed] = trace.events[i];
    auto const refuse = [&](std::string const& what) {
      throw invalid_problem("events[" + std::to_string(i) + "]", what);
    };
    if (at < before)
      refuse("is at " + std::to_string(at) + " ms, before " + std::to_string(before) + " ms");
    before = at;
    if (node.value() < 0 || node.index() >= there.size())
      refuse("names node " + to_string(node) + " of " + std::to_string(there.size()));
    if (there[node.index()] != removed)
      refuse(removed ? "removes " + trace.nodes[node.index()] + ", which is not there"
                     : "adds " + trace.nodes[node.index()] + ", which is there");
    there[node.index()] = !removed;
  }
  if (trace.end < before)
    throw invalid_problem("end", "is at " + std::to_string(trace.end) +
                                     " ms, before the last event at " + std::to_string(before) +
                                     " ms");
}

SHUNT_INLINE std::vector<live_interval> live_intervals(failure_trace const& trace) {
  validate(trace);
  std::vector<live_interval> all;
  std::vector<bool> there(trace.nodes.size(), false);
  auto const& events = trace.events;
  for (std::size_t i = 0; i < events.size();) {
    live_interval next{.begin = events[i].milliseconds, .end = trace.end};
    for (; i < events.size() && events[i].milliseconds == next.begin; ++i) {
      there[events[i].node.index()] = !events[i].removed;
      (events[i].removed ? next.removed : next.added) = true;
      next.event = static_cast<std::int32_t>(i);
    }
    if (i < events.size()) next.end = events[i].milliseconds;
    if (next.begin == next.end) break;
    if (all.empty()) next.removed = next.added = false;
    for (std::size_t n = 0; n < there.size(); ++n)
      if (there[n]) next.live.push_back(static_cast<std::int32_t>(n));
    all.push_back(std::move(next));
  }
  return all;
}

SHUNT_INLINE failure_trace
trace_of_counts(std::vector<std::pair<std::int64_t, std::int32_t>> const& counts) {
  constexpr std::int32_t most = 1 << 20;
  if (counts.size() < 2)
    throw invalid_problem("counts", "has " + std::to_string(counts.size()) +
                                        " pairs, wanted are a first and a last");
  failure_trace trace;
  std::int32_t live = 0, known = 0;
  for (std::size_t i = 0; i < counts.size(); ++i) {
    auto const& [at, count] = counts[i];
    auto const refuse = [&](std::string const& what) {
      throw invalid_problem("counts[" + std::to_string(i) + "]", what);
    };
    if (at < 0) refuse("is at " + std::to_string(at) + " ms");
    if (i > 0 && at <= counts[i - 1].first)
      refuse("is at " + std::to_string(at) + " ms, not behind " +
             std::to_string(counts[i - 1].first) + " ms");
    if (count < (i == 0 ? 1 : 0) || count > most)
      refuse("has " + std::to_string(count) + " nodes, not " + (i == 0 ? "1" : "0") + " to " +
             std::to_string(most));
    for (; known < count; ++known) trace.nodes.push_back("node" + std::to_string(known));
    for (; live < count; ++live)
      trace.events.push_back({.milliseconds = at, .node = live, .removed = false});
    for (; live > count; --live)
      trace.events.push_back({.milliseconds = at, .node = live - 1, .removed = true});
  }
  trace.end = counts.back().first;
  return trace;
}

}  // namespace shunt
