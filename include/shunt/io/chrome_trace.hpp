#pragma once
/// Timelines as traces for Perfetto and chrome://tracing.
/// Reference: "Trace Event Format", the Chromium project.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <ostream>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "shunt/core/id.hpp"
#include "shunt/core/operation.hpp"
#include "shunt/core/units.hpp"
#include "shunt/io/drawing.hpp"
#include "shunt/program/timeline.hpp"

namespace shunt {

/// How a timeline becomes a trace.
struct trace_style {
  double microseconds_per_tick = 1;       ///< for timelines of a virtual clock
  std::vector<std::string> rank_names{};  ///< ranks beyond the end are named "rank 3"
};

namespace detail {
[[nodiscard]] inline std::string json_text(std::string_view text) {
  std::string quoted = "\"";
  for (char const c : text) {
    if (c == '"' || c == '\\') quoted += '\\';
    quoted += static_cast<unsigned char>(c) < ' ' ? ' ' : c;
  }
  return quoted + '"';
}

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
inline void write_trace(std::ostream& out, timeline const& events, trace_style const& style = {}) {
  double const scale =
      events.seconds_per_tick > 0 ? events.seconds_per_tick * 1e6 : style.microseconds_per_tick;
  auto const time = [&](ticks t) { return decimal(static_cast<double>(t) * scale, 3); };
  std::int32_t ranks = 0;
  for (auto const& e : events.events) ranks = std::max(ranks, e.rank.value() + 1);

  out << "{\"displayTimeUnit\": \"ms\", \"traceEvents\": [";
  char const* separator = "\n";
  auto const next = [&]() -> std::ostream& { return out << std::exchange(separator, ",\n"); };
  std::map<rank_id, std::vector<ticks>> busy_until;  // of each row of a rank
  std::vector<std::int64_t> tids;                    // of each event
  for (auto const& e : events.events) {
    auto& rows = busy_until[e.rank];
    std::size_t row = 0;
    while (row < rows.size() && rows[row] > e.start) ++row;
    if (row == rows.size()) rows.push_back(0);
    rows[row] = e.end;
    tids.push_back(e.rank.value() + static_cast<std::int64_t>(row) * ranks);
    bool const compute = e.code == opcode::compute;
    bool const microbatch = compute && e.op.kind < op_kind::step;
    next() << "{\"name\": " << detail::json_text(name_of(e.code, e.op)) << ", \"cat\": \""
           << (compute ? "compute" : "transfer") << "\", \"ph\": \"X\", \"ts\": " << time(e.start)
           << ", \"dur\": " << time(e.end - e.start)
           << ", \"pid\": 0, \"tid\": " << std::to_string(tids.back())
           << ", \"args\": {\"iteration\": " << std::to_string(e.iteration)
           << ", \"instruction\": " << std::to_string(e.instruction);
    if (compute) out << ", \"stage\": " << std::to_string(e.op.stage.value());
    if (microbatch)
      out << ", \"pipeline\": " << std::to_string(e.op.pipeline.value())
          << ", \"microbatch\": " << std::to_string(e.op.microbatch.value());
    out << "}}";
  }
  // An arrow from each forward and input gradient to its consumer at the neighbouring stage, on
  // another rank.
  std::int64_t arrows = 0;
  detail::for_each_handover(events, [&](std::size_t from, std::size_t to) {
    auto const& a = events.events[from];
    auto const& b = events.events[to];
    auto const flow = [&](std::size_t at, std::string const& when, char const* phase) {
      next() << "{\"name\": \"" << (b.op.kind == op_kind::forward ? "activation" : "gradient")
             << "\", \"cat\": \"flow\", \"ph\": " << phase << ", \"id\": " << std::to_string(arrows)
             << ", \"ts\": " << when << ", \"pid\": 0, \"tid\": " << std::to_string(tids[at])
             << "}";
    };
    // An arrow ends in the slice around its time: the last nanosecond of the producer, the first of
    // the consumer.
    flow(from,
         decimal(std::max(static_cast<double>(a.start) * scale,
                          static_cast<double>(a.end) * scale - 0.001),
                 3),
         "\"s\"");
    flow(to, time(b.start), "\"f\", \"bp\": \"e\"");
    ++arrows;
  });
  std::int64_t order = 0;
  for (auto const& [rank, rows] : busy_until)
    for (std::size_t row = 0; row < rows.size(); ++row) {
      auto name = rank.index() < style.rank_names.size() ? style.rank_names[rank.index()]
                                                         : "rank " + std::to_string(rank.value());
      if (row > 0) name += " (" + std::to_string(row + 1) + ")";
      auto const tid = std::to_string(rank.value() + static_cast<std::int64_t>(row) * ranks);
      next() << "{\"name\": \"thread_name\", \"ph\": \"M\", \"pid\": 0, \"tid\": " << tid
             << ", \"args\": {\"name\": " << detail::json_text(name) << "}}";
      next() << "{\"name\": \"thread_sort_index\", \"ph\": \"M\", \"pid\": 0, \"tid\": " << tid
             << ", \"args\": {\"sort_index\": " << std::to_string(order++) << "}}";
    }
  out << "\n]}\n";
}

}  // namespace shunt
