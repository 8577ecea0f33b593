#pragma once
#include <cmath>
#include <cstdint>

#include "shunt/core/host_device.hpp"

namespace shunt {

/// Numbers whose sums don't depend on their order: whole multiples of 2^-40 as int64. A gradient is
/// rounded once and from there on added as integers, on a worker and between workers alike. With
/// |value| < 64 a sum of 2^16 terms fits 63 bits. A value that is larger or not finite counts as 0
/// and is to be counted apart.
struct fixed_point {
  static constexpr int fraction_bits = 40;
  static constexpr double one = static_cast<double>(std::int64_t{1} << fraction_bits);
  static constexpr float limit = 64;
  static constexpr std::int64_t most_terms = 1 << 16;

  /// Returns whether a value can be a term. A NaN can't.
  [[nodiscard]] SHUNT_HD static bool fits(float value) { return std::fabs(value) < limit; }
  /// Returns the term of a value, 0 where it doesn't fit. There is one rounding, to the nearest
  /// multiple: a float times 2^40 is exact as a double.
  [[nodiscard]] SHUNT_HD static std::int64_t rounded(float value) {
    return fits(value) ? std::llrint(static_cast<double>(value) * one) : 0;
  }
  /// Returns the mean of `terms` terms with this sum.
  [[nodiscard]] SHUNT_HD static float mean(std::int64_t sum, std::int64_t terms) {
    return static_cast<float>(static_cast<double>(sum) / (one * static_cast<double>(terms)));
  }
};

}  // namespace shunt
