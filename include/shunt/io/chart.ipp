#pragma once
#include "shunt/io/chart.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <limits>
#include <string_view>

#include "shunt/core/config.hpp"
#include "shunt/io/axis.hpp"
#include "shunt/io/drawing.hpp"

namespace shunt {

SHUNT_INLINE void write_svg(std::ostream& out, line_chart const& chart) {
  constexpr std::array<std::string_view, 8> colours{colour::blue, colour::vermilion, colour::green,
                                                    colour::pink, colour::sky,       colour::orange,
                                                    colour::ink,  colour::grey};
  auto const usable = [&](std::pair<double, double> const& p) {
    return std::isfinite(p.first) && std::isfinite(p.second) && (!chart.log_x || p.first > 0) &&
           (!chart.log_y || p.second > 0);
  };
  constexpr double infinite = std::numeric_limits<double>::infinity();
  double low_x = infinite, high_x = -infinite, low_y = infinite, high_y = -infinite;
  for (auto const& s : chart.lines)
    for (auto const& p : s.points)
      if (usable(p)) {
        low_x = std::min(low_x, p.first), high_x = std::max(high_x, p.first);
        low_y = std::min(low_y, p.second), high_y = std::max(high_y, p.second);
      }
  if (!(low_x <= high_x)) low_x = low_y = 1, high_x = high_y = 2;  // nothing to draw: empty axes
  if (!chart.log_y) {
    if (chart.from_zero) low_y = std::min(low_y, 0.0), high_y = std::max(high_y, 0.0);
    double const room = 0.05 * (high_y - low_y);
    high_y += room;
    if (!chart.from_zero) low_y -= room;
  }

  bool const several = chart.lines.size() > 1,
             direct = several && chart.lines.size() <= colours.size();
  double name_width = 0;
  for (auto const& s : chart.lines) name_width = std::max(name_width, drawing::width_of(s.name));
  double const right = chart.width - (direct ? name_width + 28 : 24);
  double const bottom = chart.height - 48;
  double const left = 84;
  double top = chart.title.empty() ? 16 : 40;
  if (!chart.events.empty()) top += 28;

  // The legend comes first, in as many rows as it needs.
  std::vector<std::pair<double, double>> places;
  if (several && !direct) {
    double x = left;
    for (auto const& s : chart.lines) {
      double const w = 28 + drawing::width_of(s.name) + 18;
      if (x + w > right && x > left) x = left, top += 18;
      places.emplace_back(x, top);
      x += w;
    }
    top += 20;
  }

  drawing picture(chart.width, chart.height);
  if (!chart.title.empty()) picture.title(left, chart.title);
  auto const colour_of = [&](std::size_t i) { return colours[i % colours.size()]; };
  auto const dashed = [&](std::size_t i) { return chart.lines[i].dashed || i >= colours.size(); };
  for (std::size_t i = 0; i < places.size(); ++i) {
    auto const [x, y] = places[i];
    picture.line(x, y, x + 22, y, colour_of(i), 2, dashed(i));
    picture.text(x + 28, y + 4, chart.lines[i].name);
  }

  axis const across(low_x, high_x, left, right, chart.log_x),
      up(low_y, high_y, bottom, top, chart.log_y);
  for (auto const& [value, text] : up.marks(8)) {
    picture.line(left, up(value), right, up(value), colour::grid);
    picture.text(left - 8, up(value) + 4, text, anchor::end, colour::faint);
  }
  for (auto const& [value, text] : across.marks(static_cast<int>((right - left) / 80))) {
    picture.line(across(value), bottom, across(value), bottom + 5, colour::faint);
    picture.text(across(value), bottom + 19, text, anchor::middle, colour::faint);
  }
  picture.line(left, bottom, right, bottom, colour::faint);
  picture.text((left + right) / 2, chart.height - 10, chart.x_label, anchor::middle, colour::faint);
  picture.text(18, (top + bottom) / 2, chart.y_label, anchor::middle, colour::faint,
               drawing::font_size, false, true);

  std::array<double, 2> free_from{
      // Names of events stand in two rows above the plot, where there is room.
      left - 60, left - 60};
  for (auto const& [x, name] : chart.events) {
    if (!(x >= low_x && x <= high_x)) continue;
    double const half = drawing::width_of(name, 11) / 2;
    auto const room = std::find_if(free_from.begin(), free_from.end(),
                                   [&, at = across(x)](double f) { return f <= at - half; });
    auto const row = static_cast<std::size_t>(room - free_from.begin());
    bool const named = row < free_from.size();
    picture.line(across(x), top - (named ? 4 + 13 * static_cast<double>(row) : 0), across(x),
                 bottom, colour::faint, 1, true);
    if (!named) continue;
    picture.text(across(x), top - 7 - 13 * static_cast<double>(row), name, anchor::middle,
                 colour::faint, 11);
    free_from[row] = across(x) + half + 8;
  }

  struct label {
    double y;
    std::size_t line;
  };
  std::vector<label> labels;
  for (std::size_t i = 0; i < chart.lines.size(); ++i) {
    std::string data;
    bool drawing_on = false;
    std::pair<double, double> last{};
    bool any = false;
    auto const& points = chart.lines[i].points;
    for (std::size_t k = 0; k < points.size(); ++k) {
      if (!usable(points[k])) {
        drawing_on = false;
        continue;
      }
      double const x = across(points[k].first), y = up(points[k].second);
      bool const single = !drawing_on && (k + 1 == points.size() || !usable(points[k + 1]));
      if (single) picture.dot(x, y, 3, colour_of(i));
      data += (drawing_on ? "L" : "M") + decimal(x) + " " + decimal(y);
      drawing_on = any = true;
      last = {x, y};
    }
    if (!data.empty()) picture.path(data, colour_of(i), 2, dashed(i));
    if (any && direct) labels.push_back({last.second, i});
  }

  // Labels at the ends of the lines are pushed apart: downwards in order, then back up from the
  // lower edge.
  std::sort(labels.begin(), labels.end(), [](label const& a, label const& b) {
    return std::pair(a.y, a.line) < std::pair(b.y, b.line);
  });
  constexpr double height = 15;
  for (std::size_t i = 1; i < labels.size(); ++i)
    labels[i].y = std::max(labels[i].y, labels[i - 1].y + height);
  double limit = bottom;
  for (auto l = labels.rbegin(); l != labels.rend(); ++l)
    l->y = std::min(l->y, limit), limit = l->y - height;
  for (auto const& l : labels) {
    picture.line(right + 4, l.y, right + 16, l.y, colour_of(l.line), 2, dashed(l.line));
    picture.text(right + 20, l.y + 4, chart.lines[l.line].name);
  }
  out << picture;
}

}  // namespace shunt
