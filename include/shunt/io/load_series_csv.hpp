#pragma once
/// A series of expert loads as CSV, one row a layer: `iteration,layer,e0,e1,...`.
#include <cstdint>
#include <istream>
#include <ostream>
#include <string>

#include "shunt/problem/load_series.hpp"

namespace shunt {

/// Reads a series below a header that ends with layer,e0,e1,... Layers are numbered on from that of
/// the first row, where every window begins. A first column `iteration` numbers the windows; other
/// columns before `layer` are not read. Without a header, windows have `layers` rows each.
/// Accepts lines like line_reader, fields like csv_fields and loads like parse_whole_number.
/// Throws invalid_problem, which names `name`, row, column (from 1) and value: for an empty file, a
/// row of another length, a layer or an iteration out of order, an incomplete window, a load below
/// 0, and where the loads of a row sum up beyond 62 bits.
[[nodiscard]] load_series read_load_series_csv(std::istream& in, std::string const& name,
                                               std::int32_t layers = 1);

/// Reads a file like read_load_series_csv.
/// Throws invalid_problem also where the file cannot be opened or read.
[[nodiscard]] load_series read_load_series_csv_file(std::string const& path,
                                                    std::int32_t layers = 1);

/// Writes a series with a header, as read_load_series_csv reads it.
void write_load_series_csv(std::ostream& out, load_series const& series);

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/io/load_series_csv.ipp"
#endif
