#pragma once
#include "shunt/io/chrome_trace.hpp"

#include <algorithm>
#include <string_view>
#include <utility>

#include "shunt/core/config.hpp"
#include "shunt/core/units.hpp"
#include "shunt/io/drawing.hpp"

namespace shunt::detail {

SHUNT_INLINE std::string json_text(std::string_view text) {
  std::string quoted = "\"";
  for (char const c : text) {
    if (c == '"' || c == '\\') quoted += '\\';
    quoted += static_cast<unsigned char>(c) < ' ' ? ' ' : c;
  }
  return quoted + '"';
}

}  // namespace shunt::detail

namespace shunt {

SHUNT_INLINE void write_trace(std::ostream& out, timeline const& events, trace_style const& style) {
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
    bool const microbatch = compute && is_of_microbatch(e.op.kind);
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
