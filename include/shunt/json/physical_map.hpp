#pragma once
/// Placements as EPLB's arrays, in JSON under EPLB's names.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "shunt/json/experts.hpp"
#include "shunt/json/reader.hpp"
#include "shunt/plan/physical_map.hpp"

namespace shunt {

/// {"phy2log": layers x slots, "log2phy": layers x experts x most replicas, -1 where there is none,
/// "logcnt": layers x experts}. Arrays that the map lacks are left out.
inline void to_json(nlohmann::json& j, physical_map const& map) {
  j = {{"phy2log", detail::rows_of(map.physical_to_logical, map.slots, detail::same)}};
  if (!map.replica_counts.empty())
    j["logcnt"] = detail::rows_of(map.replica_counts, map.experts, detail::same);
  if (map.logical_to_physical.empty()) return;
  auto slots_of = nlohmann::json::array();
  auto const depth = static_cast<std::size_t>(map.most_replicas),
             experts = static_cast<std::size_t>(map.experts);
  for (std::size_t i = 0; i * depth < map.logical_to_physical.size(); ++i) {
    if (i % experts == 0) slots_of.push_back(nlohmann::json::array());
    auto const first = map.logical_to_physical.begin() + static_cast<std::ptrdiff_t>(i * depth);
    slots_of.back().push_back(
        std::vector<std::int32_t>(first, first + static_cast<std::ptrdiff_t>(depth)));
  }
  j["log2phy"] = std::move(slots_of);
}

/// "log2phy" and "logcnt" may be missing; the number of experts then is one more than the largest
/// in "phy2log". `placement_of`, not `read`, compares the arrays. The names of vLLM and SGLang are
/// read, too: "physical_to_logical_map", "logical_to_physical_map" or
/// "logical_to_all_physical_map", "logical_replica_count". Throws invalid_problem, which names the
/// path: no list, rows of different lengths or without a value, no whole number, other experts than
/// in "phy2log", an array under two names.
inline void read(json_reader const& here, physical_map& map) {
  constexpr auto most_experts = std::numeric_limits<std::int32_t>::max();
  here.only({"phy2log", "log2phy", "logcnt", "physical_to_logical_map", "logical_to_physical_map",
             "logical_to_all_physical_map", "logical_replica_count"});
  auto const named = [&](std::initializer_list<std::string_view> names) {
    std::string_view found;
    for (auto const name : names) {
      if (!here.has(name)) continue;
      if (!found.empty()) here[name].refuse("is " + std::string(found) + " under another name");
      found = name;
    }
    return found;
  };
  auto const physical = named({"phy2log", "physical_to_logical_map"}),
             logical = named({"log2phy", "logical_to_physical_map", "logical_to_all_physical_map"}),
             counts = named({"logcnt", "logical_replica_count"});
  map = {};
  auto const table = [](json_reader const& list, std::vector<std::int32_t>& values,
                        std::int32_t least) {
    std::int32_t rows = 0, width = -1;
    list.each([&](json_reader const& row) {
      std::int32_t found = 0;
      row.each([&](json_reader const& item) {
        values.push_back(item.integer(least, most_experts - 1)), ++found;
      });
      if (rows++ > 0 && found != width)
        row.refuse("has " + std::to_string(found) + " values, the first has " +
                   std::to_string(width));
      if (found == 0) row.refuse("has no values");
      width = found;
    });
    return std::pair(rows, std::max(width, 0));
  };
  std::tie(map.layers, map.slots) =
      table(here[physical.empty() ? "phy2log" : physical], map.physical_to_logical, -1);
  for (auto const e : map.physical_to_logical) map.experts = std::max(map.experts, e + 1);
  if (!counts.empty()) {
    auto const [rows, experts] = table(here[counts], map.replica_counts, 0);
    if (rows != map.layers)
      here[counts].refuse("has " + std::to_string(rows) + " layers, phy2log has " +
                          std::to_string(map.layers));
    if (experts < map.experts)
      here[counts].refuse("has " + std::to_string(experts) + " experts, phy2log has " +
                          std::to_string(map.experts));
    map.experts = experts;
  }
  if (logical.empty()) return;
  std::int32_t rows = 0;
  here[logical].each([&](json_reader const& layer) {
    auto const [experts, depth] = table(layer, map.logical_to_physical, -1);
    if (rows++ == 0) {
      map.most_replicas = depth;
      if (counts.empty()) map.experts = std::max(map.experts, experts);
    }
    if (depth != map.most_replicas)
      layer.refuse("has " + std::to_string(depth) + " slots an expert, the first has " +
                   std::to_string(map.most_replicas));
    if (experts != map.experts)
      layer.refuse("has " + std::to_string(experts) + " experts, must have " +
                   std::to_string(map.experts));
  });
  if (rows != map.layers)
    here[logical].refuse("has " + std::to_string(rows) + " layers, phy2log has " +
                         std::to_string(map.layers));
}

}  // namespace shunt
