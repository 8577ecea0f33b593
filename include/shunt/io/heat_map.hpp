#pragma once
/// Tables of numbers as colours, as SVG.
#include <cmath>
#include <cstddef>
#include <ostream>
#include <string>
#include <vector>

namespace shunt {

/// A table of numbers, for example the share of each expert (row) in each iteration (column).
struct heat_map {
  std::string title{}, x_label{}, y_label{}, value_label{};
  std::size_t columns = 0;
  std::vector<double> values{};  ///< rows x columns, row-major; not finite: grey
  double first_column = 0;       ///< x value of the first column; the next ones follow by 1
  double width = 800;            ///< pixels
  double row_height = 0;         ///< pixels; 0: about 320 in all, between 4 and 24 a row
};

/// Returns a colour as #rrggbb, from dark to light with even steps of lightness, so that it is
/// readable without colour vision. `share` is in 0..1.
[[nodiscard]] std::string shade(double share);

/// Writes a heat map as one SVG element, row 0 at the top, with the colour scale at the right.
void write_svg(std::ostream& out, heat_map const& map);

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/io/heat_map.ipp"
#endif
