#pragma once
/// Line charts as SVG.
#include <cmath>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

namespace shunt {

/// A named line. Points that are not finite, or not positive on a logarithmic axis, leave a gap.
struct series {
  std::string name{};
  std::vector<std::pair<double, double>> points{};  ///< x, y in drawing order
  bool dashed = false;  ///< visible on top of a line that it coincides with
};

/// Lines over one pair of axes. Up to eight lines are labelled at their right ends, more in a
/// legend.
struct line_chart {
  std::string title{}, x_label{}, y_label{};
  std::vector<series> lines{};
  /// x and name of events to mark, such as failures.
  std::vector<std::pair<double, std::string>> events{};
  bool log_x = false, log_y = false;
  bool from_zero = false;            ///< a linear y axis begins at 0
  double width = 800, height = 420;  ///< pixels
};

/// Writes a line chart as one SVG element.
void write_svg(std::ostream& out, line_chart const& chart);

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/io/chart.ipp"
#endif
