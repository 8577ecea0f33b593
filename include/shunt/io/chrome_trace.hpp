#pragma once
/// Timelines as traces for Perfetto and chrome://tracing.
/// Reference: "Trace Event Format", the Chromium project.
#include <cstddef>
#include <cstdint>
#include <map>
#include <ostream>
#include <string>
#include <tuple>
#include <vector>

#include "shunt/core/id.hpp"
#include "shunt/core/operation.hpp"
#include "shunt/program/program.hpp"
#include "shunt/program/timeline.hpp"

namespace shunt {

/// How a timeline becomes a trace.
struct trace_style {
  double microseconds_per_tick = 1;       ///< for timelines of a virtual clock
  std::vector<std::string> rank_names{};  ///< ranks beyond the end are named "rank 3"
};

namespace detail {
/// Calls f(producer, consumer), indices of events, for each forward and backward_input whose input
/// comes from another rank. Of several possible producers (an iteration that ran again) the last
/// that ended in time counts.
template <class F>
void for_each_handover(timeline const& events, F&& f) {
  // Iteration, forward, pipeline, stage, micro-batch.
  using key = std::tuple<std::int32_t, bool, pipeline_id, std::int32_t, microbatch_id>;
  auto const hands_on = [](event const& e) {
    return e.code == opcode::compute &&
           (e.op.kind == op_kind::forward || e.op.kind == op_kind::backward ||
            e.op.kind == op_kind::backward_input);
  };
  auto const key_of = [](event const& e, std::int32_t stages_back) {
    bool const forward = e.op.kind == op_kind::forward;
    return key{e.iteration, forward, e.op.pipeline,
               e.op.stage.value() + (forward ? -stages_back : stages_back), e.op.microbatch};
  };
  std::map<key, std::vector<std::size_t>> made;
  for (std::size_t i = 0; i < events.events.size(); ++i)
    if (hands_on(events.events[i])) made[key_of(events.events[i], 0)].push_back(i);
  for (std::size_t i = 0; i < events.events.size(); ++i) {
    auto const& e = events.events[i];
    auto const found = hands_on(e) ? made.find(key_of(e, 1)) : made.end();
    if (found == made.end()) continue;
    auto best = events.events.size();
    for (std::size_t const c : found->second)
      if (events.events[c].end <= e.start &&
          (best == events.events.size() || events.events[c].end > events.events[best].end))
        best = c;
    if (best < events.events.size() && events.events[best].rank != e.rank) f(best, i);
  }
}
}  // namespace detail

/// Writes a timeline in the Trace Event Format (JSON, complete events): times in microseconds to
/// the nanosecond, one row a rank.
/// The format has no overlapping events in one row. Where lanes of a rank overlap, the later event
/// goes to a further row of the rank, as does the second operation of an overlapped pair.
/// Arrows lead from the producer of an activation or a gradient to its consumer on another rank.
/// The category is "compute" or "transfer"; arguments name the event.
void write_trace(std::ostream& out, timeline const& events, trace_style const& style = {});

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/io/chrome_trace.ipp"
#endif
