#pragma once
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>

#include "shunt/core/host_device.hpp"

namespace example {

/// Sums that don't depend on their order. A micro-batch's gradient is rounded once to multiples of
/// 2^-40; from there on it is added as integers, on one worker and between workers alike. With
/// |value| < 2^6 a sum of 2^16 micro-batches fits 63 bits. What is larger or not finite counts as 0
/// and is counted, for converting a NaN would give a number.
struct fixed_point {
  static constexpr int fraction_bits = 40;
  static constexpr double one = static_cast<double>(std::int64_t{1} << fraction_bits);
  static constexpr float limit = 64;  ///< 2^6
  static constexpr std::int64_t most_terms = 1 << 16;

  [[nodiscard]] SHUNT_HD static bool fits(float value) {
    return std::fabs(value) < limit;
  }  // false for a NaN
  /// Exact but for the one rounding: 24 bits of a float times 2^40 is a double.
  [[nodiscard]] SHUNT_HD static std::int64_t rounded(float value) {
    return fits(value) ? std::llrint(static_cast<double>(value) * one) : 0;
  }

  /// sum[i] += gradient[i]; the answer is how many values did not fit.
  [[nodiscard]] static std::int64_t accumulate(std::span<float const> gradient,
                                               std::span<std::int64_t> sum) {
    std::int64_t bad = 0;
    for (std::size_t i = 0; i < gradient.size(); ++i) {
      bad += !fits(gradient[i]);
      sum[i] += rounded(gradient[i]);
    }
    return bad;
  }

  /// The mean over `terms` micro-batches of the whole iteration, not over those of the live
  /// workers.
  [[nodiscard]] SHUNT_HD static float mean(std::int64_t sum, std::int64_t terms) {
    return static_cast<float>(static_cast<double>(sum) / (one * static_cast<double>(terms)));
  }
};

}  // namespace example
