#pragma once
/// Layers of a model as CSV, with their measured costs and bytes.
#include <istream>
#include <string>
#include <string_view>
#include <vector>

#include "shunt/problem/layer_job.hpp"

namespace shunt {

/// The unit of the times in a CSV of layers.
struct time_unit {
  /// of a value, such as 1e-6 for microseconds; 0: values are whole ticks
  double seconds = 0;
  double seconds_per_tick = 1e-9;  ///< read only where values are seconds
};

/// Returns the unit named ticks, s, ms, us or ns, with ticks of a nanosecond.
/// Throws invalid_problem, which names `unit`, for another name.
[[nodiscard]] time_unit time_unit_named(std::string_view name);

/// Reads a header with the columns `name,forward,backward_input,backward_weight,state_bytes,
/// activation_bytes`, in any order, and a row a layer. Accepts lines like line_reader, fields like
/// csv_fields and numbers like parse_whole_number; times that are seconds may have fractions and
/// are rounded like ticks_from_seconds (problem/measured_costs.hpp).
/// Throws invalid_problem, which names `name`, row, column (from 1, with its title) and value: for
/// an empty file, a header that lacks a column, has one twice or another one, no layer, a row with
/// another number of fields, an empty row, a number below 0, and like begin_text and line_reader.
[[nodiscard]] std::vector<model_layer> read_layer_csv(std::istream& in, std::string const& name,
                                                      time_unit unit = {});

/// Reads a file like read_layer_csv.
/// Throws invalid_problem also where the file cannot be opened or read.
[[nodiscard]] std::vector<model_layer> read_layer_csv_file(std::string const& path,
                                                           time_unit unit = {});

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/io/layer_csv.ipp"
#endif
