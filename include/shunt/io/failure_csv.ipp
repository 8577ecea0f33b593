#pragma once
#include "shunt/io/failure_csv.hpp"

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <fstream>
#include <functional>
#include <map>
#include <string_view>
#include <utility>
#include <vector>

#include "shunt/core/config.hpp"
#include "shunt/core/error.hpp"
#include "shunt/core/text_input.hpp"
#include "shunt/io/csv_fields.hpp"

namespace shunt {

SHUNT_INLINE failure_trace read_failure_csv(std::istream& in, std::string const& name) {
  failure_trace trace;
  std::map<std::string, std::int32_t, std::less<>> known;
  std::vector<bool> there;
  line_reader lines(in, name);
  for (std::string line; lines.next(line);) {
    std::string const at = lines.at();
    if (line.find_first_not_of(" \t") == std::string::npos) throw invalid_problem(at, "is empty");
    auto const fields = csv_fields(line, at);
    if (fields.size() != 3)
      throw invalid_problem(at, "has " + std::to_string(fields.size()) +
                                    " values, wanted are time_ms,add|remove,node");
    auto const time = parse_whole_number(fields[0], at + ", column 1", 0);
    if (time < trace.end)
      throw invalid_problem(at + ", column 1", "is at " + std::to_string(time) + " ms, before " +
                                                   std::to_string(trace.end) +
                                                   " ms in the row in front of it");
    bool const removed = fields[1] == "remove";
    if (!removed && fields[1] != "add")
      throw invalid_problem(at + ", column 2",
                            quoted_field(fields[1]) + " is neither add nor remove");
    if (fields[2].empty()) throw invalid_problem(at + ", column 3", "is empty");
    auto const [found, unknown] =
        known.try_emplace(std::string(fields[2]), static_cast<std::int32_t>(known.size()));
    if (unknown) {
      trace.nodes.push_back(found->first);
      there.push_back(false);
    }
    auto const node = static_cast<std::size_t>(found->second);
    if (there[node] != removed)
      throw invalid_problem(at + ", column 3",
                            quoted_field(fields[2]) + (removed ? " is removed but not there"
                                                               : " is added but there already"));
    there[node] = !removed;
    trace.events.push_back({.milliseconds = time, .node = found->second, .removed = removed});
    trace.end = time;
  }
  if (lines.row() == 0) throw invalid_problem(name, "is empty");
  return trace;
}

SHUNT_INLINE failure_trace read_failure_csv_file(std::string const& path) {
  auto in = open_text(path);
  return read_failure_csv(in, path);
}

SHUNT_INLINE failure_trace read_live_counts_csv(std::istream& in, std::string const& name) {
  line_reader lines(in, name);
  std::vector<std::pair<std::int64_t, std::int32_t>> counts;
  for (std::string line; lines.next(line);) {
    auto const fields = csv_fields(line, lines.at());
    if (fields.size() != 2)
      throw invalid_problem(lines.at(), "has " + std::to_string(fields.size()) +
                                            " values, wanted are hours,nodes");
    auto const hours = finite_number(fields[0]);
    if (!hours && lines.row() == 1) continue;  // a header
    if (!hours || !(*hours >= 0 && *hours <= 1e6))
      throw invalid_problem(lines.at() + ", column 1",
                            quoted_field(fields[0]) + " is no time from 0 to a million hours");
    auto const nodes = parse_whole_number(fields[1], lines.at() + ", column 2", 0);
    if (nodes > 1 << 20)
      throw invalid_problem(lines.at() + ", column 2",
                            "must be at most 1048576, is " + std::to_string(nodes));
    counts.emplace_back(std::llround(*hours * 3600e3), static_cast<std::int32_t>(nodes));
    if (counts.size() > 1 && counts.back().first <= counts[counts.size() - 2].first)
      throw invalid_problem(lines.at() + ", column 1", "is not behind the row in front");
  }
  if (counts.size() < 2) throw invalid_problem(name, "has less than two rows");
  return trace_of_counts(counts);
}

SHUNT_INLINE failure_trace read_live_counts_csv_file(std::string const& path) {
  auto in = open_text(path);
  return read_live_counts_csv(in, path);
}

}  // namespace shunt
