#pragma once
#include "shunt/io/heat_map.hpp"

#include <algorithm>
#include <limits>

#include "shunt/core/config.hpp"
#include "shunt/io/axis.hpp"
#include "shunt/io/drawing.hpp"

namespace shunt {

SHUNT_INLINE std::string shade(double share) {
  constexpr double anchors[][3] = {
      {68, 1, 84}, {59, 82, 139}, {33, 145, 140}, {94, 201, 98}, {253, 231, 37}};
  double const at = std::clamp(share, 0.0, 1.0) * 4;
  auto const lower = std::min<std::size_t>(3, static_cast<std::size_t>(at));
  std::string text = "#";
  for (std::size_t c = 0; c < 3; ++c) {
    double const from = anchors[lower][c], to = anchors[lower + 1][c];
    auto const value =
        static_cast<unsigned>(std::lround(from + (at - static_cast<double>(lower)) * (to - from)));
    text += "0123456789abcdef"[value / 16];
    text += "0123456789abcdef"[value % 16];
  }
  return text;
}

SHUNT_INLINE void write_svg(std::ostream& out, heat_map const& map) {
  std::size_t const rows = map.columns == 0 ? 0 : map.values.size() / map.columns;
  double const filling =
      std::clamp(320.0 / static_cast<double>(std::max<std::size_t>(1, rows)), 4.0, 24.0);
  double const row_height = map.row_height > 0 ? map.row_height : filling;
  double low = std::numeric_limits<double>::infinity(), high = -low;
  for (double const v : map.values)
    if (std::isfinite(v)) low = std::min(low, v), high = std::max(high, v);
  if (!(low <= high)) low = 0, high = 1;

  double const left = 72, right = map.width - 110, top = map.title.empty() ? 16 : 40;
  double const bottom = top + std::max(row_height * static_cast<double>(rows), 60.0);
  drawing picture(map.width, bottom + 52);
  if (!map.title.empty()) picture.title(left, map.title);

  // 64 shades; neighbours of one shade are one rectangle. Each extends a pixel under the next, so
  // that no gap shows.
  constexpr int shades = 64;
  auto const shade_of = [&](double v) {
    if (!std::isfinite(v)) return -1;
    return high > low ? std::min(shades - 1, static_cast<int>((v - low) / (high - low) * shades))
                      : 0;
  };
  auto const x_of = [&](std::size_t c) {
    return left + (right - left) * static_cast<double>(c) / static_cast<double>(map.columns);
  };
  for (std::size_t r = 0; r < rows; ++r)
    for (std::size_t c = 0; c < map.columns;) {
      auto const at = [&](std::size_t column) {
        return shade_of(map.values[r * map.columns + column]);
      };
      std::size_t end = c + 1;
      while (end < map.columns && at(end) == at(c)) ++end;
      auto const fill = at(c) < 0 ? std::string(colour::grid) : shade((at(c) + 0.5) / shades);
      picture.rectangle(x_of(c), top + static_cast<double>(r) * row_height,
                        std::min(x_of(end) + 1, right) - x_of(c),
                        row_height + (r + 1 < rows ? 1 : 0), fill);
      c = end;
    }

  auto const every = static_cast<std::size_t>(std::ceil(13 / row_height));
  for (std::size_t r = 0; r < rows; r += every)
    picture.text(left - 6, top + (static_cast<double>(r) + 0.5) * row_height + 4, std::to_string(r),
                 anchor::end, colour::faint, 11);
  double const half = map.columns == 0 ? 0 : (right - left) / static_cast<double>(map.columns) / 2;
  double const last_column =
      map.first_column + static_cast<double>(std::max<std::size_t>(2, map.columns)) - 1;
  axis const across(map.first_column, last_column, left + half, right - half);
  for (auto const& [value, text] : across.marks(8))
    if (value == std::floor(value) && value - map.first_column < static_cast<double>(map.columns)) {
      picture.line(across(value), bottom, across(value), bottom + 5, colour::faint);
      picture.text(across(value), bottom + 19, text, anchor::middle, colour::faint);
    }
  picture.text((left + right) / 2, bottom + 40, map.x_label, anchor::middle, colour::faint);
  picture.text(18, (top + bottom) / 2, map.y_label, anchor::middle, colour::faint,
               drawing::font_size, false, true);

  double const bar = right + 24;
  for (int k = 0; k < shades; ++k) {
    double const h = (bottom - top) / shades;
    picture.rectangle(bar, bottom - (k + 1) * h, 14, h + (k > 0 ? 1 : 0),
                      shade((k + 0.5) / shades));
  }
  axis const scale(low, high, bottom, top);
  for (auto const& [value, text] : scale.marks(8))
    picture.text(bar + 18, scale(value) + 4, text, anchor::start, colour::faint, 11);
  picture.text(map.width - 8, (top + bottom) / 2, map.value_label, anchor::middle, colour::faint,
               drawing::font_size, false, true);
  out << picture;
}

}  // namespace shunt
