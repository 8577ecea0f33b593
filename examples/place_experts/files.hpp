#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <ostream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "shunt/core/error.hpp"
#include "shunt/core/id.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/core/text_input.hpp"
#include "shunt/core/units.hpp"
#include "shunt/io/csv.hpp"
#include "shunt/io/csv_fields.hpp"
#include "shunt/measure/moved_experts.hpp"
#include "shunt/plan/expert_placement.hpp"
#include "shunt/problem/expert_layers.hpp"
#include "shunt/problem/load_series.hpp"

namespace place_experts {

namespace detail {

/// One row of loads behind `labels` other columns.
inline void append_loads(std::vector<std::string_view> const& items, std::size_t labels,
                         std::string const& at, std::vector<std::int64_t>& loads) {
  std::int64_t sum = 0;
  for (std::size_t c = labels; c < items.size(); ++c) {
    auto const place = at + ", column " + std::to_string(c + 1);
    loads.push_back(shunt::parse_whole_number(items[c], place, 0));
    auto const more = shunt::checked_add(sum, loads.back());
    if (!more || *more >= (std::int64_t{1} << 62))
      throw shunt::invalid_problem(place, "takes the sum of the row beyond 62 bits");
    sum = *more;
  }
}

}  // namespace detail

/// Reads a series of loads: CSV with a header that ends with layer,e0,e1,..., one row a layer.
/// Layers are numbered on from that of the first row, where every window begins; a first column
/// `iteration` numbers the windows, other columns before `layer` aren't looked at. Or, without a
/// header, windows of `layers` rows each. Throws invalid_problem, naming the file, row and column.
[[nodiscard]] inline shunt::load_series read_series(std::string const& path, std::int32_t layers) {
  auto in = shunt::open_text(path);
  shunt::line_reader lines(in, path);
  shunt::load_series series{.layers = 0, .experts = 0};
  std::string line;
  std::size_t labels = 0, columns = 0;
  bool header = false, numbered = false;
  std::int64_t layer = 0, base = 0;
  while (lines.next(line)) {
    auto const at = lines.at();
    auto const row = lines.row();
    if (line.empty()) throw shunt::invalid_problem(at, "is empty");
    auto const items = shunt::csv_fields(line, at);
    if (row == 1) {
      columns = items.size();
      auto const found = std::find(items.begin(), items.end(), "layer");
      header = found != items.end();
      if (header) {
        labels = static_cast<std::size_t>(found - items.begin()) + 1;
        numbered = items[0] == "iteration";
      }
      if (labels == columns) throw shunt::invalid_problem(at, "names no expert after the layer");
      series.experts = static_cast<std::int32_t>(columns - labels);
      if (header) continue;
    }
    if (items.size() != columns)
      throw shunt::invalid_problem(at, "has " + std::to_string(items.size()) +
                                           " values, the first row has " + std::to_string(columns));
    if (header) {
      auto const place = at + ", column " + std::to_string(labels);
      auto const given = shunt::parse_whole_number(items[labels - 1], place, 0);
      if (given > std::numeric_limits<std::int32_t>::max())
        throw shunt::invalid_problem(place, "must be a layer, is " + std::to_string(given));
      if (row == 2) base = given;
      bool const next_window = given == base && row > 2;
      if (next_window && series.layers == 0) series.layers = static_cast<std::int32_t>(layer);
      if (next_window && layer != series.layers)
        throw shunt::invalid_problem(place, "begins a window after " + std::to_string(layer) +
                                                " of " + std::to_string(series.layers) + " layers");
      if (next_window) layer = 0;
      if (given != base + layer || (series.layers > 0 && layer >= series.layers))
        throw shunt::invalid_problem(
            place,
            "must be layer " +
                std::to_string(base + (series.layers > 0 && layer >= series.layers ? 0 : layer)) +
                ", is " + std::to_string(given));
      if (numbered && layer == 0) {
        series.iterations.push_back(shunt::parse_whole_number(items[0], at + ", column 1", 0));
        if (series.iterations.size() > 1 &&
            series.iterations.back() <= *(series.iterations.end() - 2))
          throw shunt::invalid_problem(at + ", column 1",
                                       "must be after iteration " +
                                           std::to_string(*(series.iterations.end() - 2)) +
                                           ", is " + std::string(items[0].substr(0, 40)));
      } else if (numbered && shunt::parse_whole_number(items[0], at + ", column 1", 0) !=
                                 series.iterations.back()) {
        throw shunt::invalid_problem(
            at + ", column 1", "must be iteration " + std::to_string(series.iterations.back()) +
                                   " as in the row before, is " +
                                   std::string(items[0].substr(0, 40)));
      }
      ++layer;
    }
    detail::append_loads(items, labels, at, series.loads);
  }
  if (lines.row() == 0) throw shunt::invalid_problem(path, "is empty");
  if (series.loads.empty()) throw shunt::invalid_problem(path, "has no loads");
  if (series.layers == 0) series.layers = header ? static_cast<std::int32_t>(layer) : layers;
  if (series.loads.size() % series.cells() != 0)
    throw shunt::invalid_problem(lines.at(), "ends within a window of " +
                                                 std::to_string(series.layers) + " layers");
  return series;
}

/// Takes a table of one row a layer and rank as the problem's sources; loads are their sums. Throws
/// invalid_problem, naming the file and row.
inline void add_sources(std::string const& path, shunt::integer_table table,
                        shunt::expert_layers& layers) {
  layers.loads.assign(static_cast<std::size_t>(layers.layers) * table.columns, 0);
  for (std::size_t row = 0; row < table.rows(); ++row)
    for (std::size_t e = 0; e < table.columns; ++e) {
      auto& load = layers.loads[row / layers.slots_per_rank.size() * table.columns + e];
      auto const sum = shunt::checked_add(load, table.row(row)[e]);
      if (!sum)
        throw shunt::invalid_problem(path + " row " + std::to_string(row + 1) + ", column " +
                                         std::to_string(e + 1),
                                     "takes the sum of the layer beyond 63 bits");
      load = *sum;
    }
  layers.sources = std::move(table.values);
}

/// Experts that ranks newly receive in a layer to go from the previous placement to this one.
[[nodiscard]] inline std::int64_t moved_from(shunt::expert_layers const& layers,
                                             shunt::expert_placement const& plan,
                                             shunt::layer_id l) {
  return shunt::moved_experts(layers.previous_of(l), plan, l);
}

/// The experts of a layer's slots, ranks apart.
inline void write_slots(std::ostream& out, shunt::expert_placement const& plan, shunt::layer_id l) {
  for (shunt::rank_id r : shunt::ids<shunt::rank_id>(plan.ranks())) {
    out << (r == 0 ? " " : " | ");
    for (std::int32_t s = plan.first_slot[r.index()]; s < plan.first_slot[r.index() + 1]; ++s)
      out << (s == plan.first_slot[r.index()] ? "" : " ")
          << plan.layer(l)[static_cast<std::size_t>(s)].value();
  }
}

}  // namespace place_experts
