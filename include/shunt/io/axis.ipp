#pragma once
#include "shunt/io/axis.hpp"

#include <algorithm>

#include "shunt/core/config.hpp"
#include "shunt/io/drawing.hpp"

namespace shunt {

SHUNT_INLINE axis::axis(double low, double high, double from, double to, bool logarithmic)
    : low_(low), high_(high), from_(from), to_(to), logarithmic_(logarithmic) {
  if (!(low_ < high_)) {
    double const room = low_ == 0 ? 1 : std::abs(low_) * (logarithmic ? 0.5 : 0.05);
    low_ -= room, high_ = low_ + 2 * room;
  }
}

SHUNT_INLINE double axis::operator()(double value) const {
  double const share = logarithmic_ ? std::log(value / low_) / std::log(high_ / low_)
                                    : (value - low_) / (high_ - low_);
  return from_ + share * (to_ - from_);
}

SHUNT_INLINE std::vector<std::pair<double, std::string>> axis::marks(int count) const {
  std::vector<std::pair<double, std::string>> found;
  if (logarithmic_) {
    double const decades = std::log10(high_ / low_);
    std::vector<double> factors{1};
    if (decades < count / 2.0) factors = {1, 2, 5};
    if (decades < 1) factors = {1, 1.5, 2, 3, 4, 5, 6, 7, 8, 9};
    double const stride = std::max(1.0, std::ceil(decades / count));
    for (double e = std::floor(std::log10(low_)); e <= std::log10(high_); e += stride)
      for (double const f : factors)
        if (double const v = f * std::pow(10, e); v >= low_ * (1 - 1e-9) && v <= high_ * (1 + 1e-9))
          found.emplace_back(v, shown(v, v));
    if (found.size() > 1) return found;
    found.clear();
  }
  double const step = round_step((high_ - low_) / count);
  for (double k = std::ceil(low_ / step - 1e-9); k * step <= high_ + 1e-9 * step; ++k)
    found.emplace_back(k * step, shown(k * step, step));
  return found;
}

SHUNT_INLINE double axis::round_step(double least) {
  double const power = std::pow(10, std::floor(std::log10(least)));
  for (double const f : {1.0, 2.0, 5.0})
    if (f * power >= least * (1 - 1e-9)) return f * power;
  return 10 * power;
}

SHUNT_INLINE std::string axis::shown(double value, double step) {
  if (value != 0 && (std::abs(value) >= 1e7 || step < 1e-6)) {
    int const exponent = static_cast<int>(std::floor(std::log10(std::abs(value)) + 1e-12));
    return decimal(value / std::pow(10, exponent), 3) + "e" + std::to_string(exponent);
  }
  return decimal(value, std::max(0, static_cast<int>(std::ceil(-std::log10(step) + 1e-9)) +
                                        (step < 1 ? 1 : 0)));
}

}  // namespace shunt
