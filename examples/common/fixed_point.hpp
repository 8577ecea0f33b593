#pragma once
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>

namespace example {

/// Sums that don't depend on their order. A micro-batch's gradient is rounded once to multiples of 2^-40; from there on it is added as
/// integers, on one worker and between workers alike. With |value| < 2^6 a sum of 2^16 micro-batches fits 63 bits.
/// What is larger or not finite counts as 0 and is counted, for converting a NaN would give a number.
struct fixed_point {
  static constexpr int fraction_bits = 40;
  static constexpr float limit = 64;  ///< 2^6
  static constexpr std::int64_t most_terms = 1 << 16;

  /// sum[i] += gradient[i]; the answer is how many values did not fit. Exact but for the one rounding: 24 bits of a float times 2^40
  /// is a double.
  [[nodiscard]] static std::int64_t accumulate(std::span<float const> gradient, std::span<std::int64_t> sum) {
    std::int64_t bad = 0;
    for (std::size_t i = 0; i < gradient.size(); ++i) {
      bool const fits = std::abs(gradient[i]) < limit;  // false for a NaN
      bad += !fits;
      sum[i] += fits ? std::llrint(static_cast<double>(gradient[i]) * one_) : 0;
    }
    return bad;
  }

  /// The mean over `terms` micro-batches of the whole iteration, not over those of the live workers.
  [[nodiscard]] static float mean(std::int64_t sum, std::int64_t terms) {
    return static_cast<float>(static_cast<double>(sum) / (one_ * static_cast<double>(terms)));
  }

 private:
  static constexpr double one_ = static_cast<double>(std::int64_t{1} << fraction_bits);
};

}  // namespace example
