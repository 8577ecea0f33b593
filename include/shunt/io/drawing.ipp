#pragma once
#include "shunt/io/drawing.hpp"

#include <algorithm>
#include <charconv>
#include <cstddef>

#include "shunt/core/config.hpp"

namespace shunt {

SHUNT_INLINE std::string decimal(double value, int decimals) {
  char text[400];
  auto const end =
      std::to_chars(text, text + sizeof text, value, std::chars_format::fixed, decimals).ptr;
  std::string shown(text, end);
  if (shown.find('.') != std::string::npos) {
    shown.erase(shown.find_last_not_of('0') + 1);
    if (shown.back() == '.') shown.pop_back();
  }
  return shown == "-0" ? "0" : shown;
}

SHUNT_INLINE std::string escaped(std::string_view text) {
  std::string safe;
  for (char const c : text) switch (c) {
      case '&': safe += "&amp;"; break;
      case '<': safe += "&lt;"; break;
      case '>': safe += "&gt;"; break;
      case '"': safe += "&quot;"; break;
      case '\'': safe += "&#39;"; break;
      default: safe += static_cast<unsigned char>(c) < ' ' ? ' ' : c;
    }
  return safe;
}

SHUNT_INLINE drawing::drawing(double width, double height) : width_(width), height_(height) {
  rectangle(0, 0, width, height, colour::paper);
}

SHUNT_INLINE void drawing::rectangle(double x, double y, double w, double h, std::string_view fill,
                                     std::string_view stroke, double stroke_width,
                                     std::string_view tip) {
  open("rect", {{"x", decimal(x)},
                {"y", decimal(y)},
                {"width", decimal(w)},
                {"height", decimal(h)},
                {"fill", fill}});
  if (stroke != colour::none)
    attributes({{"stroke", stroke}, {"stroke-width", decimal(stroke_width)}});
  close(tip.empty() ? std::string() : "<title>" + escaped(tip) + "</title>", "rect");
}

SHUNT_INLINE void drawing::line(double x1, double y1, double x2, double y2, std::string_view stroke,
                                double stroke_width, bool dashed) {
  path("M" + decimal(x1) + " " + decimal(y1) + "L" + decimal(x2) + " " + decimal(y2), stroke,
       stroke_width, dashed);
}

SHUNT_INLINE void drawing::path(std::string_view data, std::string_view stroke, double stroke_width,
                                bool dashed) {
  open(
      "path",
      {{"d", data}, {"fill", "none"}, {"stroke", stroke}, {"stroke-width", decimal(stroke_width)}});
  if (dashed) attributes({{"stroke-dasharray", "6 4"}});
  close({}, "path");
}

SHUNT_INLINE void drawing::dot(double x, double y, double radius, std::string_view fill) {
  open("circle", {{"cx", decimal(x)}, {"cy", decimal(y)}, {"r", decimal(radius)}, {"fill", fill}});
  close({}, "circle");
}

SHUNT_INLINE void drawing::text(double x, double y, std::string_view what, anchor at,
                                std::string_view fill, double size, bool bold, bool turned) {
  constexpr std::string_view anchors[] = {"start", "middle", "end"};
  open("text",
       {{"x", decimal(x)}, {"y", decimal(y)}, {"fill", fill}, {"font-size", decimal(size)}});
  if (at != anchor::start) attributes({{"text-anchor", anchors[static_cast<std::size_t>(at)]}});
  if (bold) attributes({{"font-weight", "bold"}});
  if (turned) attributes({{"transform", "rotate(-90 " + decimal(x) + " " + decimal(y) + ")"}});
  close(escaped(what), "text");
}

SHUNT_INLINE void drawing::title(double x, std::string_view what) {
  constexpr double full = 15;
  double const room = width_ - x - 8, wide = 1.1 * width_of(what, full);  // bold
  text(x, 22, what, anchor::start, colour::ink, wide > room ? full * room / wide : full, true);
}

SHUNT_INLINE void drawing::hatch(double x, double y, double w, double h, std::string_view stroke,
                                 double distance) {
  std::string data;
  // The lines x + y = k, from the left or lower edge to the upper or right one.
  for (double k = distance / 2; k < w + h; k += distance)
    data += "M" + decimal(x + std::max(0.0, k - h)) + " " + decimal(y + std::min(h, k)) + "L" +
            decimal(x + std::min(w, k)) + " " + decimal(y + std::max(0.0, k - w));
  if (!data.empty()) path(data, stroke, 1);
}

SHUNT_INLINE double drawing::width_of(std::string_view what, double size) {
  auto const letters =
      std::count_if(what.begin(), what.end(), [](char c) { return (c & 0xc0) != 0x80; });  // UTF-8
  return 0.57 * size * static_cast<double>(letters);
}

SHUNT_INLINE void drawing::open(
    std::string_view name, std::vector<std::pair<std::string_view, std::string_view>> const& list) {
  body_.append("<").append(name);
  attributes(list);
}

SHUNT_INLINE void drawing::attributes(
    std::vector<std::pair<std::string_view, std::string_view>> const& list) {
  for (auto const& [key, value] : list)
    body_.append(" ").append(key).append("=\"").append(value).append("\"");
}

SHUNT_INLINE void drawing::close(std::string const& content, std::string_view name) {
  if (content.empty())
    body_.append("/>\n");
  else
    body_.append(">").append(content).append("</").append(name).append(">\n");
}

}  // namespace shunt
