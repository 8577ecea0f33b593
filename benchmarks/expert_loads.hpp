#pragma once
// Loads for the benchmarks of experts: synthetic layers, the project's own data, and what
// SHUNT_EXPERT_LOADS names a folder of.
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <numbers>
#include <random>
#include <sstream>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "shunt/io/csv.hpp"
#include "shunt/problem/expert_layers.hpp"

namespace expert_loads {

/// Log-normal loads (sigma 1), 65,536 tokens a layer, every layer different. In every 64th layer
/// one expert has all tokens.
inline shunt::expert_layers skewed(std::int32_t layers, std::int32_t experts, std::int32_t slots,
                                   std::int32_t ranks) {
  std::mt19937_64 random(7);
  auto const fraction = [&] {
    return (static_cast<double>(random() >> 11) + 0.5) / 9007199254740992.0;
  };
  shunt::expert_layers p{.layers = layers,
                         .experts = experts,
                         .loads = {},
                         .slots_per_rank = shunt::deal_slots(slots, ranks)};
  for (std::int32_t l = 0; l < layers; ++l) {
    std::vector<double> row;
    double sum = 0;
    for (std::int32_t e = 0; e < experts; ++e) {
      double const radius = std::sqrt(-2 * std::log(fraction()));
      row.push_back(std::exp(radius * std::cos(2 * std::numbers::pi * fraction())));
      sum += row.back();
    }
    for (std::int32_t e = 0; e < experts; ++e)
      p.loads.push_back(
          l % 64 == 63 ? (e == l % experts ? 65536 : 0)
                       : static_cast<std::int64_t>(row[static_cast<std::size_t>(e)] / sum * 65536));
  }
  return p;
}

inline std::string own_folder() {
  return (std::filesystem::path(__FILE__).parent_path() / "../tests/data").string();
}
inline std::string given_folder() {
  char const* const folder = std::getenv("SHUNT_EXPERT_LOADS");
  return folder ? folder : "";
}

/// The text of folder/file, or of folder/file.gz by gzip; empty where there is neither.
inline std::string text_of(std::string const& folder, std::string const& file) {
  if (folder.empty()) return {};
  std::string const path = folder + "/" + file;
  std::string const command =
      std::filesystem::exists(path) ? "cat '" + path + "'" : "gzip -dc '" + path + ".gz'";
  if (!std::filesystem::exists(path) && !std::filesystem::exists(path + ".gz")) return {};
  std::string text;
  std::FILE* const pipe = popen(command.c_str(), "r");
  if (!pipe) throw std::runtime_error("can't run: " + command);
  char block[65536];
  for (std::size_t n; (n = std::fread(block, 1, sizeof block, pipe)) > 0;) text.append(block, n);
  if (pclose(pipe) != 0) throw std::runtime_error("failed: " + command);
  return text;
}

/// A table of loads, one row a layer; no layers where there is no such file.
inline shunt::expert_layers recorded(std::string const& folder, std::string const& file,
                                     std::int32_t slots, std::int32_t ranks) {
  shunt::expert_layers p{
      .layers = 0, .experts = 0, .loads = {}, .slots_per_rank = shunt::deal_slots(slots, ranks)};
  std::istringstream in(text_of(folder, file));
  if (in.str().empty()) return p;
  auto const table = shunt::read_csv(in, file, 0);
  p.layers = static_cast<std::int32_t>(table.rows());
  p.experts = static_cast<std::int32_t>(table.columns);
  p.loads = table.values;
  return p;
}

/// Loads of several layers at several iterations: rows `iteration,layer,e0,e1,..` under one line of
/// names.
struct series {
  std::int32_t layers = 0, experts = 0;
  std::vector<std::int32_t> iterations{};
  std::vector<std::vector<std::int64_t>> loads{};  ///< of each iteration: layers x experts
};
inline series read_series(std::string const& folder, std::string const& file, std::int32_t first,
                          std::int32_t last, std::int32_t step) {
  series all;
  std::istringstream in(text_of(folder, file));
  std::string line, cell;
  std::getline(in, line);
  while (std::getline(in, line)) {
    std::istringstream cells(line);
    std::vector<std::int64_t> row;
    while (std::getline(cells, cell, ',')) row.push_back(std::stoll(cell));
    auto const at = static_cast<std::int32_t>(row.at(0));
    if (at < first || at > last || (at - first) % step != 0) continue;
    all.layers = std::max(all.layers, static_cast<std::int32_t>(row.at(1)) + 1);
    all.experts = static_cast<std::int32_t>(row.size()) - 2;
    if (all.iterations.empty() || all.iterations.back() != at) {
      all.iterations.push_back(at);
      all.loads.emplace_back();
    }
    all.loads.back().insert(all.loads.back().end(), row.begin() + 2, row.end());
  }
  return all;
}

/// All its iterations as layers of one problem.
inline shunt::expert_layers as_layers(series const& all, std::int32_t slots, std::int32_t ranks) {
  shunt::expert_layers p{.layers = 0,
                         .experts = all.experts,
                         .loads = {},
                         .slots_per_rank = shunt::deal_slots(slots, ranks)};
  for (auto const& loads : all.loads) {
    p.layers += all.layers;
    p.loads.insert(p.loads.end(), loads.begin(), loads.end());
  }
  return p;
}

}  // namespace expert_loads
