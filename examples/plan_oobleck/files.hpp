#pragma once
#include <cstddef>
#include <cstdint>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

#include "cli.hpp"
#include "shunt/core/error.hpp"
#include "shunt/core/text_input.hpp"
#include "shunt/io/csv_fields.hpp"
#include "shunt/problem/template_problem.hpp"

namespace plan_oobleck {

/// The number that `text` is, all of it. Throws invalid_problem, naming the place and the text.
[[nodiscard]] inline double parse_number(std::string const& place, std::string_view text) {
  if (auto const value = example::number_of(text)) return *value;
  throw shunt::invalid_problem(place, example::quoted(text) + " is not a number");
}

/// Reads layers: rows forward,backward or forward,backward,parameters,activations, below a row of
/// these names or not.
/// Throws invalid_problem, naming the file, row and column.
[[nodiscard]] inline std::vector<shunt::template_layer> read_layers(std::string const& path) {
  auto in = shunt::open_text(path);
  shunt::line_reader lines(in, path);
  std::vector<shunt::template_layer> layers;
  std::string line;
  std::size_t columns = 0;
  while (lines.next(line)) {
    auto const at = lines.at();
    if (line.empty()) throw shunt::invalid_problem(at, "is empty");
    auto const items = shunt::csv_fields(line, at);
    if (columns == 0 &&
        (line == "forward,backward" || line == "forward,backward,parameters,activations")) {
      columns = items.size();
      continue;
    }
    if (columns == 0 && items.size() != 2 && items.size() != 4)
      throw shunt::invalid_problem(at, "has " + std::to_string(items.size()) +
                                           " values, must have forward,backward or "
                                           "forward,backward,parameters,activations");
    if (columns == 0) columns = items.size();
    if (items.size() != columns)
      throw shunt::invalid_problem(at, "has " + std::to_string(items.size()) +
                                           " values, the first row has " + std::to_string(columns));
    auto const place = [&](std::size_t c) { return at + ", column " + std::to_string(c + 1); };
    auto const time = [&](std::size_t c) {
      double const value = parse_number(place(c), items[c]);
      if (!(value > 0 && value <= 1e100))
        throw shunt::invalid_problem(place(c), "must be above 0 and at most 1e100, is " +
                                                   std::string(items[c].substr(0, 40)));
      return value;
    };
    shunt::template_layer layer{.forward = time(0), .backward = time(1)};
    if (columns == 4) {
      layer.parameters = shunt::parse_whole_number(items[2], place(2), 0);
      layer.activations = shunt::parse_whole_number(items[3], place(3), 0);
    }
    layers.push_back(layer);
  }
  if (layers.empty()) throw shunt::invalid_problem(path, "is empty");
  return layers;
}

/// "2:0.1,4:0.2": times of all-reduces on 2, 4 ... GPUs. Throws invalid_problem, naming the item.
[[nodiscard]] inline std::vector<double> parse_all_reduce(std::string const& text) {
  std::vector<double> times;
  for (auto const item : example::items_of(text)) {
    auto const name = "--all-reduce[" + std::to_string(times.size()) + "]";
    auto const colon = item.find(':');
    if (colon == std::string_view::npos)
      throw shunt::invalid_problem(name, example::quoted(item) + " is not gpus:time");
    auto const gpus = example::parse_integer(name + " (gpus)", item.substr(0, colon), 2, 1 << 30);
    if (gpus != std::int64_t{2} << times.size())
      throw shunt::invalid_problem(name + " (gpus)",
                                   "must be " + std::to_string(std::int64_t{2} << times.size()) +
                                       ": 2, 4, 8 ... in this order, is " + std::to_string(gpus));
    times.push_back(parse_number(name + " (time)", item.substr(colon + 1)));
    if (times.back() < 0)
      throw shunt::invalid_problem(name + " (time)",
                                   "must be at least 0, is " + std::string(item.substr(colon + 1)));
  }
  return times;
}

/// "0,1;2,3,4": lists of ranks. Throws invalid_problem, naming the list and the item.
[[nodiscard]] inline std::vector<std::vector<shunt::rank_id>> parse_pipelines(
    std::string const& text) {
  std::vector<std::vector<shunt::rank_id>> pipelines;
  for (auto const list : example::items_of(text, ';'))
    pipelines.push_back(
        example::parse_ranks("--pipelines[" + std::to_string(pipelines.size()) + "]", list));
  return pipelines;
}

/// A template by its nodes and how many pipelines run it.
struct counted_template {
  std::int32_t nodes = 1;
  std::int32_t count = 1;
};

/// "2:1,3:1". Throws invalid_problem, naming the item.
[[nodiscard]] inline std::vector<counted_template> parse_templates(std::string const& text) {
  std::vector<counted_template> templates;
  constexpr std::int64_t most = 1 << 24;
  for (auto const item : example::items_of(text)) {
    auto const name = "--templates[" + std::to_string(templates.size()) + "]";
    auto const colon = item.find(':');
    if (colon == std::string_view::npos)
      throw shunt::invalid_problem(name, example::quoted(item) + " is not nodes:count");
    counted_template const now{static_cast<std::int32_t>(example::parse_integer(
                                   name + " (nodes)", item.substr(0, colon), 1, most)),
                               static_cast<std::int32_t>(example::parse_integer(
                                   name + " (count)", item.substr(colon + 1), 1, most))};
    for (auto const& before : templates)
      if (before.nodes == now.nodes)
        throw shunt::invalid_problem(name, "names the template of " + std::to_string(now.nodes) +
                                               " nodes for the second time");
    templates.push_back(now);
  }
  if (templates.empty()) throw shunt::invalid_problem("--templates", "is empty");
  return templates;
}

}  // namespace plan_oobleck
