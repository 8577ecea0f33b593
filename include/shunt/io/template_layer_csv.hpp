#pragma once
/// Layers as planners of pipeline templates see them, as CSV.
#include <istream>
#include <string>
#include <vector>

#include "shunt/problem/template_problem.hpp"

namespace shunt {

/// Reads rows `forward,backward` or `forward,backward,parameters,activations`, a row a layer, below
/// a row of these names or not. Times are above 0 and at most 1e100.
/// Accepts lines like line_reader, fields like csv_fields and bytes like parse_whole_number.
/// Throws invalid_problem, which names `name`, row, column (from 1) and value: for an empty file,
/// an empty row, a row of another number of fields, a time or a number of bytes that is none, and
/// like begin_text and line_reader.
[[nodiscard]] std::vector<template_layer> read_template_layer_csv(std::istream& in,
                                                                  std::string const& name);

/// Reads a file like read_template_layer_csv.
/// Throws invalid_problem also where the file cannot be opened or read.
[[nodiscard]] std::vector<template_layer> read_template_layer_csv_file(std::string const& path);

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/io/template_layer_csv.ipp"
#endif
