#pragma once
#include "shunt/measure/spread.hpp"

#include <algorithm>

#include "shunt/core/config.hpp"

namespace shunt {

SHUNT_INLINE spread::spread(std::vector<double> values) : count(values.size()) {
  if (values.empty()) return;
  std::sort(values.begin(), values.end());
  auto const half = values.size() / 2;
  median = values.size() % 2 == 1 ? values[half] : (values[half - 1] + values[half]) / 2;
  least = values.front();
  most = values.back();
}

}  // namespace shunt
