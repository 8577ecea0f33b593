#pragma once
/// Loads as serving systems record them: SGLang's rows of layer, expert and count, and its
/// logical_count as JSON; vLLM's snapshots, one a line; and tables of one row a layer.
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <istream>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "shunt/core/error.hpp"
#include "shunt/core/text_input.hpp"
#include "shunt/core/units.hpp"
#include "shunt/io/csv.hpp"
#include "shunt/io/csv_fields.hpp"
#include "shunt/json/reader.hpp"

namespace shunt {

/// Recorded loads, the last window and those before it.
struct recorded_loads {
  integer_table table{};                ///< a row a layer, a column an expert
  std::vector<std::int64_t> history{};  ///< windows x rows x columns, the oldest first
  /// The numbers that the file gives its layers, ascending; empty where it gives none.
  std::vector<std::int64_t> layers{};
};

namespace detail {

using load_rows = std::vector<std::vector<std::int64_t>>;

/// Returns a whole number of at least 0, which may be written as 24990.0.
[[nodiscard]] inline std::int64_t whole_load(json_reader const& item) {
  if (item.is_number())
    if (double const value = item.number();
        value == std::floor(value) && value >= 0 && value < 0x1p53)
      return static_cast<std::int64_t>(value);
  return item.integer<std::int64_t>(0);  // larger ones; others are refused
}

/// Returns rows of one length, at least one.
[[nodiscard]] inline load_rows rows_of_loads(json_reader const& table) {
  load_rows rows;
  table.each([&](json_reader const& row) {
    auto& loads = rows.emplace_back();
    row.each([&](json_reader const& item) { loads.push_back(whole_load(item)); });
    if (loads.empty() || loads.size() != rows.front().size())
      row.refuse("has " + std::to_string(loads.size()) + " values, the first has " +
                 std::to_string(rows.front().size()));
  });
  if (rows.empty()) table.refuse("has no layer");
  return rows;
}

[[nodiscard]] inline std::int64_t sum_of(std::int64_t a, std::int64_t b, std::string const& at) {
  auto const sum = checked_add(a, b);
  if (!sum || *sum >= std::int64_t{1} << 62)
    throw invalid_problem(at, "takes the sum beyond 62 bits");
  return *sum;
}

/// Returns the loads of a snapshot by logical expert. Where it has a map, loads stand by physical
/// expert (slot), and those of a logical expert add up.
[[nodiscard]] inline load_rows logical_loads(json_reader const& here) {
  std::string_view key;
  for (std::string_view const known : {"logical_expert_load", "window_expert_load", "expert_load"})
    if (key.empty() && here.has(known)) key = known;
  if (key.empty())
    here.refuse(
        "has none of the keys logical_expert_load, window_expert_load, expert_load (vLLM) and "
        "logical_count (SGLang)");
  auto rows = rows_of_loads(here[key]);
  if (key == "logical_expert_load" || !here.has("physical_to_logical_map")) return rows;
  std::vector<std::vector<std::int32_t>> map;
  std::int32_t experts = here.has("num_logical_experts")
                             ? here["num_logical_experts"].integer<std::int32_t>(1, 1 << 24)
                             : 1;
  auto const list = here["physical_to_logical_map"];
  list.each([&](json_reader const& row) {
    auto& slots = map.emplace_back();
    row.each([&](json_reader const& item) {
      slots.push_back(item.integer<std::int32_t>(-1, (1 << 24) - 1));
      experts = std::max(experts, slots.back() + 1);
    });
    std::size_t const l = map.size() - 1;
    if (l >= rows.size() || slots.size() != rows[l].size())
      row.refuse("has " + std::to_string(slots.size()) + " slots, " + std::string(key) + " has " +
                 std::to_string(l < rows.size() ? rows[l].size() : 0) + " there");
  });
  if (map.size() != rows.size())
    list.refuse("has " + std::to_string(map.size()) + " layers, " + std::string(key) + " has " +
                std::to_string(rows.size()));
  load_rows logical(rows.size());
  for (std::size_t l = 0; l < rows.size(); ++l) {
    logical[l].resize(static_cast<std::size_t>(experts), 0);
    for (std::size_t s = 0; s < rows[l].size(); ++s) {
      if (map[l][s] < 0) continue;
      auto& sum = logical[l][static_cast<std::size_t>(map[l][s])];
      sum = sum_of(sum, rows[l][s], here[key].path());
    }
  }
  return logical;
}

/// Adds windows: all but the last are the history.
inline void take_windows(std::vector<load_rows> const& windows, std::string const& path,
                         recorded_loads& to) {
  auto const& last = windows.back();
  for (std::size_t w = 0; w < windows.size(); ++w) {
    if (windows[w].size() != last.size() || windows[w].front().size() != last.front().size())
      throw invalid_problem(path, "window " + std::to_string(w) + " has " +
                                      std::to_string(windows[w].size()) + " layers of " +
                                      std::to_string(windows[w].front().size()) +
                                      " experts, the last has " + std::to_string(last.size()) +
                                      " of " + std::to_string(last.front().size()));
    auto& values = w + 1 == windows.size() ? to.table.values : to.history;
    for (auto const& row : windows[w]) values.insert(values.end(), row.begin(), row.end());
  }
  to.table.columns = last.front().size();
}

/// Returns the windows that one document has.
inline void windows_of(json_reader const& here, std::vector<load_rows>& to) {
  if (here.is_list()) {
    to.push_back(rows_of_loads(here));
  } else if (here.has("logical_count")) {  // of one pass, or of each of several
    auto const counts = here["logical_count"];
    bool by_pass = false;
    counts.each([&](json_reader const& first) {
      first.each([&](json_reader const& second) { by_pass = by_pass || second.is_list(); });
    });
    if (!by_pass) {
      to.push_back(rows_of_loads(counts));
      return;
    }
    load_rows sum;
    counts.each([&](json_reader const& pass) {
      auto const rows = rows_of_loads(pass);
      if (sum.empty()) sum.resize(rows.size(), std::vector<std::int64_t>(rows.front().size(), 0));
      if (rows.size() != sum.size() || rows.front().size() != sum.front().size())
        pass.refuse("has another shape than the first");
      for (std::size_t l = 0; l < rows.size(); ++l)
        for (std::size_t e = 0; e < rows[l].size(); ++e)
          sum[l][e] = sum_of(sum[l][e], rows[l][e], pass.path());
    });
    to.push_back(std::move(sum));
  } else if (here.has("snapshots") || here.has("load_history")) {
    here[here.has("snapshots") ? "snapshots" : "load_history"].each(
        [&](json_reader const& one) { to.push_back(logical_loads(one)); });
  } else {
    to.push_back(logical_loads(here));
  }
}

[[nodiscard]] inline recorded_loads read_json_loads(std::istream& in, std::string const& path) {
  std::vector<load_rows> windows;
  std::string whole, line;
  line_reader lines(in, path);
  auto const take = [&](std::string const& text, std::string const& at) {
    auto const document = nlohmann::json::parse(text, nullptr, false);
    if (document.is_discarded()) return false;
    try {
      windows_of(json_reader(document), windows);
    } catch (invalid_problem const& error) {
      throw invalid_problem(at, error.what());
    }
    return true;
  };
  bool by_line = true;  // a document a line, until one is none
  while (lines.next(line)) {
    whole += line + '\n';
    if (by_line && !line.empty()) by_line = take(line, lines.at());
    if (!by_line && !windows.empty())
      throw invalid_problem(lines.at(), "is no JSON, as the lines before are");
  }
  if (!by_line && !take(whole, path)) throw invalid_problem(path, "is no JSON");
  if (windows.empty()) throw invalid_problem(path, "has no loads");
  recorded_loads found;
  take_windows(windows, path, found);
  return found;
}

/// SGLang's rows, of one rank or of several one after another: counts of the same expert add up,
/// experts without a row have none.
[[nodiscard]] inline recorded_loads read_long_loads(line_reader& lines, std::int32_t experts) {
  std::map<std::int64_t, std::vector<std::int64_t>> rows;
  std::size_t width = static_cast<std::size_t>(std::max(experts, 0));
  std::string line;
  while (lines.next(line)) {
    auto const at = lines.at();
    auto const items = csv_fields(line, at);
    if (items.size() == 3 && items[0] == "layer_id") continue;  // the head of the next file
    if (items.size() != 3)
      throw invalid_problem(at, "has " + std::to_string(items.size()) +
                                    " values, must have layer_id, expert_id and count");
    std::int64_t numbers[3] = {};
    for (std::size_t c = 0; c < 3; ++c)
      numbers[c] = parse_whole_number(items[c], at + ", column " + std::to_string(c + 1), 0);
    constexpr std::int64_t most = 1 << 24;
    for (std::size_t c = 0; c < 2; ++c)
      if (numbers[c] >= most || (c == 1 && experts > 0 && numbers[c] >= experts))
        throw invalid_problem(at + ", column " + std::to_string(c + 1),
                              "must be below " +
                                  std::to_string(c == 1 && experts > 0 ? experts : most) + ", is " +
                                  std::to_string(numbers[c]));
    auto& loads = rows[numbers[0]];
    auto const e = static_cast<std::size_t>(numbers[1]);
    width = std::max(width, e + 1);
    if (loads.size() <= e) loads.resize(e + 1, 0);
    loads[e] = sum_of(loads[e], numbers[2], at);
  }
  if (rows.empty()) throw invalid_problem(lines.name(), "has no loads");
  recorded_loads found{.table = {.columns = width}};
  for (auto& [layer, loads] : rows) {
    loads.resize(width, 0);
    found.layers.push_back(layer);
    found.table.values.insert(found.table.values.end(), loads.begin(), loads.end());
  }
  return found;
}

}  // namespace detail

/// Reads recorded loads of any form. `experts`: how many there are, 0 where the file says it.
/// Throws invalid_problem, which names the file and the place; where it has another header also the
/// form that is `wanted`; "experts" where there are others.
[[nodiscard]] inline recorded_loads read_recorded_loads_file(std::string const& path,
                                                             std::int32_t experts,
                                                             std::string const& wanted) {
  auto in = open_text(path);
  auto const first = (in >> std::ws).peek();
  recorded_loads found;
  if (first == '{' || first == '[') {
    found = detail::read_json_loads(in, path);
  } else {
    in = open_text(path);
    line_reader lines(in, path);
    std::string line;
    bool const any = lines.next(line);
    if (any && line.find("layer_id") != std::string::npos &&
        line.find("expert_id") != std::string::npos)
      return detail::read_long_loads(lines, experts);
    in = open_text(path);
    try {
      found.table = read_csv(in, path, 0);
    } catch (invalid_problem const& refused) {
      std::string const what = refused.what();
      if (what.find(" row 1: is a header ") == std::string::npos) throw;
      throw invalid_problem(refused.field(),
                            what.substr(refused.field().size() + 2) + ": " + wanted);
    }
  }
  if (experts > 0 && found.table.columns != static_cast<std::size_t>(experts))
    throw invalid_problem("experts", "is " + std::to_string(experts) + ", " + path + " has " +
                                         std::to_string(found.table.columns));
  return found;
}

}  // namespace shunt
