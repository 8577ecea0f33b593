#pragma once
#include <cstddef>
#include <vector>

namespace shunt {

/// Median, least and most of some numbers, 0 where there are none. The median of an even count is
/// the mean of the two in the middle.
struct spread {
  double median = 0, least = 0, most = 0;
  std::size_t count = 0;

  spread() = default;
  explicit spread(std::vector<double> values);
};

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/measure/spread.ipp"
#endif
