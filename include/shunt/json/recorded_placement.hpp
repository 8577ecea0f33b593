#pragma once
/// Placements in force, as serving systems and this library write them: lists of the experts of
/// slots (vLLM), physical_to_logical_map (vLLM, SGLang), layer_list (vllm-ascend),
/// initial_global_assignments (TensorRT-LLM), EPLB's arrays, {"layers": [{"slots": [...]}, ...]},
/// and CSV of one row a layer.
#include <cstddef>
#include <cstdint>
#include <istream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "shunt/core/error.hpp"
#include "shunt/core/id.hpp"
#include "shunt/core/text_input.hpp"
#include "shunt/io/csv.hpp"
#include "shunt/json/physical_map.hpp"
#include "shunt/json/reader.hpp"
#include "shunt/plan/physical_map.hpp"
#include "shunt/problem/expert_layers.hpp"

namespace shunt {

namespace detail {

/// The maps of TensorRT-LLM's initial_global_assignments, by layer: "3: [0, 1, ...]", in block or
/// flow style. Throws invalid_problem, which names `path`, for another text.
[[nodiscard]] inline nlohmann::json assignments_of(std::string const& text,
                                                   std::string const& path) {
  auto rows = nlohmann::json::array();
  std::size_t at = text.find("initial_global_assignments");
  auto const refuse = [&](std::string const& why) {
    throw invalid_problem(path, "initial_global_assignments: " + why);
  };
  if (at == std::string::npos) refuse("is missing");
  at = text.find(':', at);
  auto const skip = [&](std::string_view what) {
    while (at < text.size() && what.find(text[at]) != std::string_view::npos) ++at;
  };
  auto const number = [&] {
    std::int64_t value = 0;
    std::size_t const first = at;
    if (at < text.size() && text[at] == '-') ++at;
    while (at < text.size() && text[at] >= '0' && text[at] <= '9' && value < (1 << 30))
      value = value * 10 + (text[at++] - '0');
    if (at == first || value >= 1 << 30)
      refuse("must be lists of whole numbers in brackets, by layer");
    return text[first] == '-' ? -value : value;
  };
  if (at == std::string::npos) refuse("has no layers");
  skip(": \t\r\n{");
  std::int64_t last = -1;
  while (at < text.size() && text[at] >= '0' && text[at] <= '9') {
    std::int64_t const layer = number();
    if (layer <= last) refuse("layer " + std::to_string(layer) + " must be in ascending order");
    last = layer;
    skip(": \t\r\n");
    if (at >= text.size() || text[at] != '[')
      refuse("layer " + std::to_string(layer) + " must be a list in brackets");
    ++at;
    auto& row = rows.emplace_back(nlohmann::json::array());
    for (skip(" \t\r\n"); at < text.size() && text[at] != ']'; skip(", \t\r\n"))
      row.push_back(number());
    if (at >= text.size()) refuse("layer " + std::to_string(layer) + " has no end");
    ++at;
    skip(", \t\r\n");
  }
  return rows;
}

/// The document, with the map under the key of vLLM and SGLang where it has another form.
[[nodiscard]] inline nlohmann::json map_of(nlohmann::json document) {
  auto const maps = [](nlohmann::json rows) {
    return nlohmann::json{{"physical_to_logical_map", std::move(rows)}};
  };
  if (document.is_array()) return maps(std::move(document));  // vLLM's initial map
  if (!document.is_object()) return document;
  if (auto const all = document.find("snapshots");
      all != document.end() && all->is_array() && !all->empty() && all->back().is_object())
    document = nlohmann::json(all->back());
  if (document.contains("window_expert_load") && document.contains("physical_to_logical_map"))
    return maps(document["physical_to_logical_map"]);
  if (!document.contains("layer_list")) return document;
  auto rows = nlohmann::json::array();  // of vllm-ascend
  json_reader(document)["layer_list"].each([&](json_reader const& layer) {
    auto& row = rows.emplace_back(nlohmann::json::array());
    layer["device_list"].each([&](json_reader const& device) {
      device["device_expert"].each(
          [&](json_reader const& item) { row.push_back(item.integer<std::int32_t>(-1)); });
    });
  });
  return maps(std::move(rows));
}

/// The last line where every line is a document, else the whole text.
[[nodiscard]] inline nlohmann::json last_document(std::string const& text,
                                                  std::string const& path) {
  auto whole = nlohmann::json::parse(text, nullptr, false);
  if (!whole.is_discarded()) return whole;
  auto const end = text.find_last_not_of(" \t\r\n");
  auto const first = end == std::string::npos ? end : text.rfind('\n', end);
  if (first != std::string::npos) {
    auto last = nlohmann::json::parse(text.substr(first), nullptr, false);
    if (!last.is_discarded()) return last;
  }
  std::istringstream in(text);
  return parse_json(in, path);  // says what is wrong
}

/// Sets the slots that a placement of --format json has.
inline void read_layers(json_reader const& here, std::int32_t slots, physical_map& map) {
  if (!here.has("layers"))
    here.refuse("has none of the keys layers (of --format json), phy2log (of --format eplb), "
                "physical_to_logical_map and layer_list");
  here["layers"].each([&](json_reader const& layer) {
    std::int32_t found = 0;
    layer["slots"].each([&](json_reader const& item) {
      map.physical_to_logical.push_back(item.integer<std::int32_t>(-1)), ++found;
    });
    if (found != slots)
      layer["slots"].refuse("has " + std::to_string(found) + " slots, the ranks have " +
                            std::to_string(slots));
    ++map.layers;
  });
  map.slots = slots;
}

}  // namespace detail

/// Reads a placement of the layers' experts in their slots, of any of these forms. -1 stands in a
/// slot that holds nothing.
/// Returns layers x slots experts, as expert_layers::previous has them.
/// Throws invalid_problem, which names the file and the place.
[[nodiscard]] inline std::vector<expert_id> read_placement_file(std::string const& path,
                                                                expert_layers const& layers) {
  auto in = open_text(path);
  physical_map map;
  auto const slots = layers.slots();
  auto const first = (in >> std::ws).peek();
  bool const listed = first == '{' || first == '[';
  std::string text;
  if (listed || first == 'n' || first == 'i' || first == 'l') {
    text.assign(std::istreambuf_iterator<char>(in), {});
  }
  bool const yaml = text.find("initial_global_assignments") != std::string::npos;
  if (!listed && !yaml) {
    in = open_text(path);
    auto const table = read_csv(in, path, -1);
    if (table.columns != static_cast<std::size_t>(slots))
      throw invalid_problem(path + " row 1", "has " + std::to_string(table.columns) +
                                                 " slots, the ranks have " + std::to_string(slots));
    for (std::size_t i = 0; i < table.values.size(); ++i)
      if (table.values[i] >= layers.experts)
        throw invalid_problem(path + " row " + std::to_string(i / table.columns + 1) + ", column " +
                                  std::to_string(i % table.columns + 1),
                              "must be an expert below " + std::to_string(layers.experts) +
                                  ", is " + std::to_string(table.values[i]));
    if (table.rows() != static_cast<std::size_t>(layers.layers))
      throw invalid_problem(path + " row " + std::to_string(table.rows()),
                            "is the last of " + std::to_string(table.rows()) +
                                " layers, the loads have " + std::to_string(layers.layers));
    return {table.values.begin(), table.values.end()};
  }
  auto document =
      yaml ? nlohmann::json{{"physical_to_logical_map", detail::assignments_of(text, path)}}
           : detail::last_document(text, path);
  bool const named = document.is_object() && document.contains("phy2log");
  try {
    document = detail::map_of(std::move(document));
    json_reader const here(document);
    bool const arrays = here.has("phy2log") || here.has("physical_to_logical_map");
    arrays ? read(here, map) : detail::read_layers(here, slots, map);
    if (map.experts > layers.experts)
      throw invalid_problem("phy2log", "knows " + std::to_string(map.experts) +
                                           " experts, the loads " + std::to_string(layers.experts));
    if (map.experts < layers.experts &&
        (!map.replica_counts.empty() || !map.logical_to_physical.empty()))
      throw invalid_problem("logcnt", "knows " + std::to_string(map.experts) +
                                          " experts, the loads " + std::to_string(layers.experts));
    map.experts = layers.experts;
    if (map.layers != layers.layers)
      throw invalid_problem("phy2log", "has " + std::to_string(map.layers) + " layers, the loads " +
                                           std::to_string(layers.layers));
    return placement_of(map, layers.slots_per_rank).expert_of;
  } catch (invalid_problem const& error) {
    // Under the name that the file has for the array.
    std::string what = error.what();
    if (!named && what.starts_with("phy2log") && document.is_object() &&
        document.contains("physical_to_logical_map"))
      what.replace(0, std::string_view("phy2log").size(),
                   yaml ? "initial_global_assignments" : "physical_to_logical_map");
    throw invalid_problem(path, what);
  }
}

}  // namespace shunt
