#pragma once
#include "shunt/io/layer_csv.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <fstream>
#include <string_view>
#include <utility>

#include "shunt/core/config.hpp"
#include "shunt/core/error.hpp"
#include "shunt/core/text_input.hpp"
#include "shunt/io/csv_fields.hpp"
#include "shunt/problem/measured_costs.hpp"

namespace shunt {

SHUNT_INLINE time_unit time_unit_named(std::string_view name) {
  static constexpr std::array<std::pair<std::string_view, double>, 5> units{
      {{"ticks", 0}, {"s", 1}, {"ms", 1e-3}, {"us", 1e-6}, {"ns", 1e-9}}};
  for (auto const& [known, seconds] : units)
    if (known == name) return {.seconds = seconds};
  throw invalid_problem("unit", '"' + std::string(name.substr(0, 40)) +
                                    "\" is none of ticks, s, ms, us, ns");
}

SHUNT_INLINE std::vector<model_layer> read_layer_csv(std::istream& in, std::string const& name,
                                                     time_unit unit) {
  static constexpr std::array<std::string_view, 6> titles{
      "name", "forward", "backward_input", "backward_weight", "state_bytes", "activation_bytes"};
  line_reader lines(in, name);
  std::string line;
  if (!lines.next(line)) throw invalid_problem(name, "is empty");
  auto const header = lines.at();
  std::vector<std::size_t> title_of;  // by column
  for (auto const field : csv_fields(line, header)) {
    auto const at = header + ", column " + std::to_string(title_of.size() + 1);
    auto const found = std::find(titles.begin(), titles.end(), field);
    std::string shown(field.substr(0, 40));
    for (char& c : shown)
      if (static_cast<unsigned char>(c) < ' ') c = ' ';
    if (found == titles.end())
      throw invalid_problem(at, '"' + shown +
                                    "\" is none of name, forward, backward_input, "
                                    "backward_weight, state_bytes, activation_bytes");
    auto const title = static_cast<std::size_t>(found - titles.begin());
    if (std::find(title_of.begin(), title_of.end(), title) != title_of.end())
      throw invalid_problem(at, '"' + shown + "\" is there twice");
    title_of.push_back(title);
  }
  for (std::size_t t = 0; t < titles.size(); ++t)
    if (std::find(title_of.begin(), title_of.end(), t) == title_of.end())
      throw invalid_problem(header, "has no column " + std::string(titles[t]));

  std::vector<model_layer> layers;
  while (lines.next(line)) {
    auto const at = lines.at();
    if (line.find_first_not_of(" \t") == std::string::npos) throw invalid_problem(at, "is empty");
    auto const fields = csv_fields(line, at);
    if (fields.size() != titles.size())
      throw invalid_problem(at, "has " + std::to_string(fields.size()) + " values, the header " +
                                    std::to_string(titles.size()));
    auto& layer = layers.emplace_back();
    std::array<std::int64_t*, 5> const numbers{&layer.forward, &layer.backward_input,
                                               &layer.backward_weight, &layer.state_bytes,
                                               &layer.activation_bytes};
    for (std::size_t c = 0; c < fields.size(); ++c) {
      auto const title = title_of[c];
      if (title == 0) {
        layer.name = fields[c];
        continue;
      }
      auto const place =
          at + ", column " + std::to_string(c + 1) + " (" + std::string(titles[title]) + ")";
      auto& number = *numbers[title - 1];
      if (title > 3 || unit.seconds == 0) {
        number = parse_whole_number(fields[c], place, 0);
        continue;
      }
      auto const value = finite_number(fields[c]);
      if (!value) throw invalid_problem(place, quoted_field(fields[c]) + " is not a number");
      double const seconds = *value * unit.seconds;
      if (!(seconds >= 0 && seconds / unit.seconds_per_tick < 0x1p61))
        throw invalid_problem(place, "must be at least 0 and below 2^61 ticks, is " +
                                         std::string(fields[c].substr(0, 40)));
      number = ticks_from_seconds(seconds, unit.seconds_per_tick);
    }
  }
  if (layers.empty()) throw invalid_problem(name, "has no layer");
  return layers;
}

SHUNT_INLINE std::vector<model_layer> read_layer_csv_file(std::string const& path, time_unit unit) {
  auto in = open_text(path);
  return read_layer_csv(in, path, unit);
}

}  // namespace shunt
