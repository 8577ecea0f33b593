#pragma once
/// Throughput over time on one trace, all systems, on one page.
#include <algorithm>
#include <cstddef>
#include <ostream>
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

/// Writes one SVG: the live nodes, then the systems in two charts over one axis of time.
inline void write_picture(std::ostream& out, throughput_table const& table, std::size_t trace) {
  constexpr double plot = 760, left = 84, right = 24, label = 28;  // as line_chart lays them out
  auto const& spans = table.row(row_oobleck).runs[trace].intervals;
  shunt::series live{.name = "nodes"};
  for (auto const& span : spans)
    for (auto const at : {span.begin, span.end})
      live.points.emplace_back(static_cast<double>(at - spans.front().begin) / 3600e3, span.live);
  auto const& t = table.of;
  std::vector<shunt::line_chart> charts{
      {.title = "Throughput on trace " + table.traces[trace] +
                ": D = " + std::to_string(t.pipelines) + ", S = " + std::to_string(t.stages) +
                ", M = " + std::to_string(t.microbatches) + ", costs of changes of " +
                std::string(table.costs.model),
       .x_label = "hours",
       .y_label = "live nodes",
       .lines = {std::move(live)},
       .width = left + plot + right,
       .height = 200}};
  double width = charts.front().width, height = charts.front().height;
  auto const add = [&](std::string title, std::vector<std::string_view> const& names,
                       bool from_zero) {
    shunt::line_chart one{.title = std::move(title),
                          .x_label = "hours; means over a fortieth of the trace",
                          .y_label = "throughput / 1F1B without failures",
                          .from_zero = from_zero,
                          .height = 420};
    double names_width = 0;
    for (auto const name : names) {
      auto const& row = table.row(name);
      if (row.runs.empty()) continue;
      names_width = std::max(names_width, shunt::drawing::width_of(name));
      one.lines.push_back({.name = row.system.name, .points = smoothed(row.runs[trace])});
    }
    one.width = left + plot + names_width + label;
    width = std::max(width, one.width);
    height += one.height;
    charts.push_back(std::move(one));
  };
  add("SlipStream, Oobleck, and Oobleck with zero-bubble pipelines, with what changes cost",
      {row_oobleck, row_published_aborted, row_published, row_aborted, row_salvaged,
       row_zero_bubble},
      false);
  add("Bounds and the other systems, with what changes cost",
      {row_oobleck, row_ideal, row_scaled, row_rerouting, row_bamboo, row_varuna, row_torchft},
      true);
  out << "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"" << shunt::decimal(width)
      << "\" height=\"" << shunt::decimal(height) << "\" viewBox=\"0 0 " << shunt::decimal(width)
      << ' ' << shunt::decimal(height) << "\">\n"
      << "<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n";
  double top = 0;
  for (auto const& one : charts) {
    out << "<g transform=\"translate(0 " << shunt::decimal(top) << ")\">\n";
    shunt::write_svg(out, one);
    out << "</g>\n";
    top += one.height;
  }
  out << "</svg>\n";
}

}  // namespace reproduce_papers
