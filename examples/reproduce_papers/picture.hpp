#pragma once
/// Throughput over time on one trace, all systems, on one page.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <ostream>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "shunt/io/chart.hpp"
#include "shunt/io/drawing.hpp"
#include "shunt/measure/trace_replay.hpp"
#include "tables.hpp"

namespace reproduce_papers {

/// The mean of a run over a window around each of many points in time: hours and rates.
[[nodiscard]] inline std::vector<std::pair<double, double>> smoothed(
    shunt::trace_result const& run) {
  constexpr int points = 300;
  std::vector<std::pair<double, double>> done{{0, 0}};  // seconds, work so far
  for (auto const& span : run.intervals) {
    double const length = static_cast<double>(span.end - span.begin) / 1000;
    done.emplace_back(done.back().first + length, done.back().second + length * span.mean);
  }
  auto const work = [&](double at) {
    auto const next = std::find_if(done.begin() + 1, done.end() - 1,
                                   [&](auto const& p) { return p.first >= at; });
    auto const& [t0, w0] = *(next - 1);
    return w0 + (next->second - w0) * (at - t0) / (next->first - t0);
  };
  double const window = run.seconds / 40;
  std::vector<std::pair<double, double>> curve;
  for (int k = 0; k <= points; ++k) {
    double const at = run.seconds * k / points;
    double const from = std::max(0.0, at - window / 2), to = std::min(run.seconds, at + window / 2);
    curve.emplace_back(at / 3600, std::max(0.0, (work(to) - work(from)) / (to - from)));
  }
  return curve;
}

/// Writes one SVG: the live nodes, then the systems in two charts.
inline void write_picture(std::ostream& out, throughput_table const& table, std::size_t trace) {
  constexpr double width = 1100;
  auto const& any = *std::find_if(table.rows.begin(), table.rows.end(),
                                  [](table_row const& r) { return !r.runs.empty(); });
  auto const& spans = any.runs[trace].intervals;
  shunt::series live{.name = "nodes"};
  for (auto const& span : spans)
    for (auto const at : {span.begin, span.end})
      live.points.emplace_back(static_cast<double>(at - spans.front().begin) / 3600e3, span.live);
  std::vector<shunt::line_chart> charts{
      {.title = "Throughput on trace " + table.traces[trace] + " (" +
                std::to_string(table.of.pipelines) + " pipelines x " +
                std::to_string(table.of.stages) +
                " stages, M = " + std::to_string(table.of.microbatches) +
                "), costs of changes of " + std::string(table.costs.model),
       .y_label = "live nodes",
       .lines = {std::move(live)},
       .from_zero = true,
       .width = width,
       .height = 200}};
  constexpr std::string_view label = "of 1F1B without failures";
  auto const chart = [&](std::vector<std::string_view> const& names, double height) {
    shunt::line_chart one{
        .y_label = std::string(label), .from_zero = true, .width = width, .height = height};
    for (auto const name : names)
      if (auto const& row = table.row(name); !row.runs.empty())
        one.lines.push_back({.name = row.system.name, .points = smoothed(row.runs[trace])});
    charts.push_back(std::move(one));
  };
  chart({row_salvaged, row_aborted, row_published, row_published_aborted, row_oobleck,
         row_zero_bubble},
        420);
  chart({row_ideal, row_oobleck, row_scaled, row_rerouting, row_bamboo, row_varuna, row_torchft},
        420);
  charts.back().x_label = "hours; means over a fortieth of the trace, with what changes cost";
  double height = 0;
  std::ostringstream body;
  for (auto const& one : charts) {
    body << "<g transform=\"translate(0 " << shunt::decimal(height) << ")\">\n";
    shunt::write_svg(body, one);
    body << "</g>\n";
    height += one.height;
  }
  out << "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"" << shunt::decimal(width)
      << "\" height=\"" << shunt::decimal(height) << "\" viewBox=\"0 0 " << shunt::decimal(width)
      << ' ' << shunt::decimal(height) << "\">\n"
      << body.str() << "</svg>\n";
}

}  // namespace reproduce_papers
