#pragma once
#include "shunt/io/template_layer_csv.hpp"

#include <cstddef>
#include <fstream>

#include "shunt/core/config.hpp"
#include "shunt/core/error.hpp"
#include "shunt/core/text_input.hpp"
#include "shunt/io/csv_fields.hpp"

namespace shunt {

SHUNT_INLINE std::vector<template_layer> read_template_layer_csv(std::istream& in,
                                                                 std::string const& name) {
  line_reader lines(in, name);
  std::vector<template_layer> layers;
  std::size_t columns = 0;
  for (std::string line; lines.next(line);) {
    auto const at = lines.at();
    if (line.empty()) throw invalid_problem(at, "is empty");
    auto const fields = csv_fields(line, at);
    bool const first = columns == 0;
    if (first && fields.size() != 2 && fields.size() != 4)
      throw invalid_problem(at, "has " + std::to_string(fields.size()) +
                                    " values, must have forward,backward or "
                                    "forward,backward,parameters,activations");
    if (first) columns = fields.size();
    if (first && (line == "forward,backward" || line == "forward,backward,parameters,activations"))
      continue;
    if (fields.size() != columns)
      throw invalid_problem(at, "has " + std::to_string(fields.size()) +
                                    " values, the first row has " + std::to_string(columns));
    auto const place = [&](std::size_t c) { return at + ", column " + std::to_string(c + 1); };
    auto const time = [&](std::size_t c) {
      auto const value = finite_number(fields[c]);
      if (!value) throw invalid_problem(place(c), quoted_field(fields[c]) + " is not a number");
      if (!(*value > 0 && *value <= 1e100))
        throw invalid_problem(place(c), "must be above 0 and at most 1e100, is " +
                                            std::string(fields[c].substr(0, 40)));
      return *value;
    };
    template_layer layer{.forward = time(0), .backward = time(1)};
    if (columns == 4) {
      layer.parameters = parse_whole_number(fields[2], place(2), 0);
      layer.activations = parse_whole_number(fields[3], place(3), 0);
    }
    layers.push_back(layer);
  }
  if (layers.empty()) throw invalid_problem(name, "is empty");
  return layers;
}

SHUNT_INLINE std::vector<template_layer> read_template_layer_csv_file(std::string const& path) {
  auto in = open_text(path);
  return read_template_layer_csv(in, path);
}

}  // namespace shunt
