#pragma once
/// Axes of charts: numbers to pixels, and round marks.
#include <cmath>
#include <string>
#include <utility>
#include <vector>

namespace shunt {

/// Maps the numbers `low` to `high` to the pixels `from` to `to` (which may descend), linearly or
/// logarithmically. Marks are round numbers: 1, 2 or 5 times a power of ten.
class axis {
 public:
  /// Widens an empty range.
  /// Requires 0 < low for a logarithmic axis.
  axis(double low, double high, double from, double to, bool logarithmic = false);

  [[nodiscard]] double operator()(double value) const;

  /// Returns about `count` marks: values and their text.
  [[nodiscard]] std::vector<std::pair<double, std::string>> marks(int count = 8) const;

 private:
  [[nodiscard]] static double round_step(double least);
  /// Returns a value with as many decimals as distinguish neighbouring marks; from ten million on
  /// as 1e7.
  [[nodiscard]] static std::string shown(double value, double step);

  double low_, high_, from_, to_;
  bool logarithmic_;
};

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/io/axis.ipp"
#endif
