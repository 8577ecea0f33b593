#pragma once
#include "shunt/io/load_series_csv.hpp"

#include <algorithm>
#include <cstddef>
#include <limits>
#include <string_view>
#include <vector>

#include "shunt/core/config.hpp"
#include "shunt/core/error.hpp"
#include "shunt/core/id.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/core/text_input.hpp"
#include "shunt/core/units.hpp"
#include "shunt/io/csv_fields.hpp"

namespace shunt {

namespace detail {

/// One row of loads behind `labels` other columns.
SHUNT_INLINE void append_loads(std::vector<std::string_view> const& items, std::size_t labels,
                               std::string const& at, std::vector<std::int64_t>& loads) {
  std::int64_t sum = 0;
  for (std::size_t c = labels; c < items.size(); ++c) {
    auto const place = at + ", column " + std::to_string(c + 1);
    loads.push_back(parse_whole_number(items[c], place, 0));
    auto const more = checked_add(sum, loads.back());
    if (!more || *more >= (std::int64_t{1} << 62))
      throw invalid_problem(place, "takes the sum of the row beyond 62 bits");
    sum = *more;
  }
}

}  // namespace detail

SHUNT_INLINE load_series read_load_series_csv(std::istream& in, std::string const& name,
                                              std::int32_t layers) {
  line_reader lines(in, name);
  load_series series{.layers = 0, .experts = 0};
  std::string line;
  std::size_t labels = 0, columns = 0;
  bool header = false, numbered = false;
  std::int64_t layer = 0, base = 0;
  while (lines.next(line)) {
    auto const at = lines.at();
    auto const row = lines.row();
    if (line.empty()) throw invalid_problem(at, "is empty");
    auto const items = csv_fields(line, at);
    if (row == 1) {
      columns = items.size();
      auto const found = std::find(items.begin(), items.end(), "layer");
      header = found != items.end();
      if (header) {
        labels = static_cast<std::size_t>(found - items.begin()) + 1;
        numbered = items[0] == "iteration";
      }
      if (labels == columns) throw invalid_problem(at, "names no expert after the layer");
      series.experts = static_cast<std::int32_t>(columns - labels);
      if (header) continue;
    }
    if (items.size() != columns)
      throw invalid_problem(at, "has " + std::to_string(items.size()) +
                                    " values, the first row has " + std::to_string(columns));
    if (header) {
      auto const place = at + ", column " + std::to_string(labels);
      auto const given = parse_whole_number(items[labels - 1], place, 0);
      if (given > std::numeric_limits<std::int32_t>::max())
        throw invalid_problem(place, "must be a layer, is " + std::to_string(given));
      if (row == 2) base = given;
      bool const next_window = given == base && row > 2;
      if (next_window && series.layers == 0) series.layers = static_cast<std::int32_t>(layer);
      if (next_window && layer != series.layers)
        throw invalid_problem(place, "begins a window after " + std::to_string(layer) + " of " +
                                         std::to_string(series.layers) + " layers");
      if (next_window) layer = 0;
      if (given != base + layer || (series.layers > 0 && layer >= series.layers))
        throw invalid_problem(
            place,
            "must be layer " +
                std::to_string(base + (series.layers > 0 && layer >= series.layers ? 0 : layer)) +
                ", is " + std::to_string(given));
      if (numbered && layer == 0) {
        series.iterations.push_back(parse_whole_number(items[0], at + ", column 1", 0));
        if (series.iterations.size() > 1 &&
            series.iterations.back() <= *(series.iterations.end() - 2))
          throw invalid_problem(at + ", column 1",
                                "must be after iteration " +
                                    std::to_string(*(series.iterations.end() - 2)) + ", is " +
                                    std::string(items[0].substr(0, 40)));
      } else if (numbered &&
                 parse_whole_number(items[0], at + ", column 1", 0) != series.iterations.back()) {
        throw invalid_problem(at + ", column 1", "must be iteration " +
                                                     std::to_string(series.iterations.back()) +
                                                     " as in the row before, is " +
                                                     std::string(items[0].substr(0, 40)));
      }
      ++layer;
    }
    detail::append_loads(items, labels, at, series.loads);
  }
  if (lines.row() == 0) throw invalid_problem(name, "is empty");
  if (series.loads.empty()) throw invalid_problem(name, "has no loads");
  if (series.layers == 0) series.layers = header ? static_cast<std::int32_t>(layer) : layers;
  if (series.loads.size() % series.cells() != 0)
    throw invalid_problem(lines.at(),
                          "ends within a window of " + std::to_string(series.layers) + " layers");
  return series;
}

SHUNT_INLINE load_series read_load_series_csv_file(std::string const& path, std::int32_t layers) {
  auto in = open_text(path);
  return read_load_series_csv(in, path, layers);
}

SHUNT_INLINE void write_load_series_csv(std::ostream& out, load_series const& series) {
  out << "iteration,layer";
  for (std::int32_t e = 0; e < series.experts; ++e) out << ",e" << std::to_string(e);
  out << '\n';
  for (std::int32_t w = 0; w < series.windows(); ++w)
    for (layer_id l : ids<layer_id>(series.layers)) {
      out << std::to_string(series.iteration(w)) << ',' << std::to_string(l.value());
      for (auto const load : series.loads_of(w, l)) out << ',' << std::to_string(load);
      out << '\n';
    }
}

}  // namespace shunt
