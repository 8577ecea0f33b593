#pragma once
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <fstream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cli.hpp"
#include "published.hpp"
#include "shunt/core/error.hpp"
#include "shunt/core/text_input.hpp"
#include "shunt/io/csv_fields.hpp"
#include "shunt/io/failure_csv.hpp"
#include "shunt/problem/failure_trace.hpp"
#include "validation.hpp"

namespace reproduce_papers {

/// The traces of a folder, in the order of trace_names. Throws invalid_problem, which names file,
/// row and value.
[[nodiscard]] inline std::vector<named_trace> read_traces(std::string const& folder) {
  std::vector<named_trace> all;
  for (auto const name : trace_names)
    all.push_back({std::string(name),
                   shunt::read_failure_csv_file(folder + "/" + std::string(name) + ".csv")});
  return all;
}

/// A curve of live nodes: rows `hours,nodes`, under a header or not; a number holds from its row
/// on. Throws invalid_problem, which names file, row, column and value.
[[nodiscard]] inline named_trace read_availability(std::string const& path) {
  auto in = shunt::open_text(path);
  shunt::line_reader lines(in, path);
  std::vector<std::pair<std::int64_t, std::int32_t>> counts;
  for (std::string line; lines.next(line);) {
    auto const fields = shunt::csv_fields(line, lines.at());
    if (fields.size() != 2)
      throw shunt::invalid_problem(lines.at(), "has " + std::to_string(fields.size()) +
                                                   " values, wanted are hours,nodes");
    auto const hours = example::number_of(fields[0]);
    if (!hours && lines.row() == 1) continue;  // a header
    if (!hours || !(*hours >= 0 && *hours <= 1e6))
      throw shunt::invalid_problem(lines.at() + ", column 1",
                                   example::quoted(fields[0]) +
                                       " is no time from 0 to a million hours");
    auto const nodes = shunt::parse_whole_number(fields[1], lines.at() + ", column 2", 0);
    if (nodes > 1 << 20)
      throw shunt::invalid_problem(lines.at() + ", column 2",
                                   "must be at most 1048576, is " + std::to_string(nodes));
    counts.emplace_back(std::llround(*hours * 3600e3), static_cast<std::int32_t>(nodes));
    if (counts.size() > 1 && counts.back().first <= counts[counts.size() - 2].first)
      throw shunt::invalid_problem(lines.at() + ", column 1", "is not behind the row in front");
  }
  if (counts.size() < 2) throw shunt::invalid_problem(path, "has less than two rows");
  auto name = path.substr(path.find_last_of('/') + 1);
  return {name.substr(0, name.find('.')), shunt::trace_of_counts(counts)};
}

}  // namespace reproduce_papers
