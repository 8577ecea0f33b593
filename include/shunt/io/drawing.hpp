#pragma once
/// SVG pictures, element by element.
#include <cmath>
#include <cstdint>
#include <ostream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace shunt {

/// Returns the shortest decimal text of a number, with at most `decimals` digits after the point,
/// independent of the locale.
[[nodiscard]] std::string decimal(double value, int decimals = 2);

/// Returns text escaped for XML and HTML, in elements and attributes. Control characters, which XML
/// cannot hold, become spaces.
[[nodiscard]] std::string escaped(std::string_view text);

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

  drawing(double width, double height);

  void rectangle(double x, double y, double w, double h, std::string_view fill,
                 std::string_view stroke = colour::none, double stroke_width = 1,
                 std::string_view tip = {});
  void line(double x1, double y1, double x2, double y2, std::string_view stroke,
            double stroke_width = 1, bool dashed = false);
  /// Adds an open line along SVG path data.
  void path(std::string_view data, std::string_view stroke, double stroke_width = 1,
            bool dashed = false);
  void dot(double x, double y, double radius, std::string_view fill);
  /// Adds text with its base line at y; `turned` text runs upwards.
  void text(double x, double y, std::string_view what, anchor at = anchor::start,
            std::string_view fill = colour::ink, double size = font_size, bool bold = false,
            bool turned = false);
  /// Adds the picture's title from x on, in smaller letters where it would leave the picture.
  void title(double x, std::string_view what);
  /// Adds diagonal lines across a rectangle.
  void hatch(double x, double y, double w, double h, std::string_view stroke, double distance = 6);

  /// Returns the approximate width of a text, rather too wide than too narrow.
  [[nodiscard]] static double width_of(std::string_view what, double size = font_size);

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
            std::vector<std::pair<std::string_view, std::string_view>> const& list);
  void attributes(std::vector<std::pair<std::string_view, std::string_view>> const& list);
  void close(std::string const& content, std::string_view name);

  double width_, height_;
  std::string body_;
};

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/io/drawing.ipp"
#endif
