#pragma once
/// SVG pictures, element by element.
#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <ostream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace shunt {

/// Returns the shortest decimal text of a number, with at most `decimals` digits after the point,
/// independent of the locale.
[[nodiscard]] inline std::string decimal(double value, int decimals = 2) {
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

/// Returns text escaped for XML and HTML, in elements and attributes. Control characters, which XML
/// cannot hold, become spaces.
[[nodiscard]] inline std::string escaped(std::string_view text) {
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

/// Position of a text relative to its point.
enum class anchor : std::uint8_t { start, middle, end };

namespace colour {
// The palette of Okabe and Ito, distinguishable with colour vision deficiency.
inline constexpr std::string_view ink = "#222222", faint = "#666666", grid = "#dddddd",
                                  paper = "#ffffff", none = "none";
inline constexpr std::string_view sky = "#56b4e9", orange = "#e69f00", yellow = "#f0e442",
                                  green = "#009e73", pink = "#cc79a7", blue = "#0072b2",
                                  vermilion = "#d55e00", grey = "#999999";
}  // namespace colour

/// An SVG picture in pixels. It uses no ids and no style sheet, so several fit in one page.
class drawing {
 public:
  static constexpr double font_size = 12;

  drawing(double width, double height) : width_(width), height_(height) {
    rectangle(0, 0, width, height, colour::paper);
  }

  void rectangle(double x, double y, double w, double h, std::string_view fill,
                 std::string_view stroke = colour::none, double stroke_width = 1,
                 std::string_view tip = {}) {
    open("rect", {{"x", decimal(x)},
                  {"y", decimal(y)},
                  {"width", decimal(w)},
                  {"height", decimal(h)},
                  {"fill", fill}});
    if (stroke != colour::none)
      attributes({{"stroke", stroke}, {"stroke-width", decimal(stroke_width)}});
    close(tip.empty() ? std::string() : "<title>" + escaped(tip) + "</title>", "rect");
  }
  void line(double x1, double y1, double x2, double y2, std::string_view stroke,
            double stroke_width = 1, bool dashed = false) {
    path("M" + decimal(x1) + " " + decimal(y1) + "L" + decimal(x2) + " " + decimal(y2), stroke,
         stroke_width, dashed);
  }
  /// Adds an open line along SVG path data.
  void path(std::string_view data, std::string_view stroke, double stroke_width = 1,
            bool dashed = false) {
    open("path", {{"d", data},
                  {"fill", "none"},
                  {"stroke", stroke},
                  {"stroke-width", decimal(stroke_width)}});
    if (dashed) attributes({{"stroke-dasharray", "6 4"}});
    close({}, "path");
  }
  void dot(double x, double y, double radius, std::string_view fill) {
    open("circle",
         {{"cx", decimal(x)}, {"cy", decimal(y)}, {"r", decimal(radius)}, {"fill", fill}});
    close({}, "circle");
  }
  /// Adds text with its base line at y; `turned` text runs upwards.
  void text(double x, double y, std::string_view what, anchor at = anchor::start,
            std::string_view fill = colour::ink, double size = font_size, bool bold = false,
            bool turned = false) {
    constexpr std::string_view anchors[] = {"start", "middle", "end"};
    open("text",
         {{"x", decimal(x)}, {"y", decimal(y)}, {"fill", fill}, {"font-size", decimal(size)}});
    if (at != anchor::start) attributes({{"text-anchor", anchors[static_cast<std::size_t>(at)]}});
    if (bold) attributes({{"font-weight", "bold"}});
    if (turned) attributes({{"transform", "rotate(-90 " + decimal(x) + " " + decimal(y) + ")"}});
    close(escaped(what), "text");
  }
  /// Adds diagonal lines across a rectangle.
  void hatch(double x, double y, double w, double h, std::string_view stroke, double distance = 6) {
    std::string data;
    // The lines x + y = k, from the left or lower edge to the upper or right one.
    for (double k = distance / 2; k < w + h; k += distance)
      data += "M" + decimal(x + std::max(0.0, k - h)) + " " + decimal(y + std::min(h, k)) + "L" +
              decimal(x + std::min(w, k)) + " " + decimal(y + std::max(0.0, k - w));
    if (!data.empty()) path(data, stroke, 1);
  }

  /// Returns the approximate width of a text, rather too wide than too narrow.
  [[nodiscard]] static double width_of(std::string_view what, double size = font_size) {
    auto const letters = std::count_if(what.begin(), what.end(),
                                       [](char c) { return (c & 0xc0) != 0x80; });  // UTF-8
    return 0.57 * size * static_cast<double>(letters);
  }

  /// Writes the document without an XML declaration, so that it can stand in HTML.
  friend std::ostream& operator<<(std::ostream& out, drawing const& d) {
    auto const w = decimal(d.width_), h = decimal(d.height_);
    return out << "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"" << w << "\" height=\"" << h
               << "\" viewBox=\"0 0 " << w << ' ' << h
               << "\" font-family=\"Helvetica, Arial, 'DejaVu Sans', sans-serif\">\n"
               << d.body_ << "</svg>\n";
  }

 private:
  void open(std::string_view name,
            std::vector<std::pair<std::string_view, std::string_view>> const& list) {
    body_.append("<").append(name);
    attributes(list);
  }
  void attributes(std::vector<std::pair<std::string_view, std::string_view>> const& list) {
    for (auto const& [key, value] : list)
      body_.append(" ").append(key).append("=\"").append(value).append("\"");
  }
  void close(std::string const& content, std::string_view name) {
    if (content.empty())
      body_.append("/>\n");
    else
      body_.append(">").append(content).append("</").append(name).append(">\n");
  }

  double width_, height_;
  std::string body_;
};

}  // namespace shunt
