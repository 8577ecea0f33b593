#pragma once
/// Traces of failures as CSV: `time_ms,add|remove,node`, or numbers of live nodes, `hours,nodes`.
#include <istream>
#include <string>

#include "shunt/problem/failure_trace.hpp"

namespace shunt {

/// Reads rows `time_ms,add,node` and `time_ms,remove,node` without a header, as Bamboo and Oobleck
/// publish their traces. Nodes are numbered as they first appear; the last event is the end.
/// Accepts lines like line_reader, fields like csv_fields and times like parse_whole_number.
/// Throws invalid_problem, which names `name`, row, column (from 1) and value: for an empty file, a
/// row of other than three fields, a time below 0 or before the row in front of it, an event of
/// another name, a node without a name, one that is added while it is there or removed while it is
/// not, and like begin_text and line_reader.
[[nodiscard]] failure_trace read_failure_csv(std::istream& in, std::string const& name);

/// Reads a file like read_failure_csv.
/// Throws invalid_problem also where the file cannot be opened or read.
[[nodiscard]] failure_trace read_failure_csv_file(std::string const& path);

/// Reads a curve of live nodes, as trace_of_counts: rows `hours,nodes`, under a header or not. A
/// number holds from its row on; the last row is the end.
/// Throws invalid_problem, which names `name`, row, column (from 1) and value: for a row of other
/// than two fields, a time that is not from 0 to a million hours or not behind the row in front of
/// it, a number of nodes that is not from 0 to 2^20, less than two rows, and like trace_of_counts
/// and line_reader.
[[nodiscard]] failure_trace read_live_counts_csv(std::istream& in, std::string const& name);

/// Reads a file like read_live_counts_csv.
/// Throws invalid_problem also where the file cannot be opened or read.
[[nodiscard]] failure_trace read_live_counts_csv_file(std::string const& path);

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/io/failure_csv.ipp"
#endif
