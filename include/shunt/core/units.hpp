#pragma once
#include <concepts>
#include <cstdint>
#include <optional>

#include "shunt/core/config.hpp"

namespace shunt {

/// Time as a whole number of ticks. The caller defines a tick. Scaling all costs by one factor
/// changes no plan, except where a bound between two ticks is rounded up.
using ticks = std::int64_t;
/// A number of bytes.
using byte_count = std::int64_t;

/// Returns the sum, or nothing where it doesn't fit 64 bits.
[[nodiscard]] SHUNT_CONSTEXPR std::optional<std::int64_t> checked_add(std::int64_t a,
                                                                      std::int64_t b);
/// Returns the product, or nothing where it doesn't fit 64 bits.
[[nodiscard]] SHUNT_CONSTEXPR std::optional<std::int64_t> checked_multiply(std::int64_t a,
                                                                           std::int64_t b);

/// Returns a / b, rounded up.
/// Requires a >= 0 and b > 0.
template <std::integral Integer>
[[nodiscard]] constexpr Integer ceil_divide(Integer a, Integer b) {
  return a / b + (a % b != 0);
}

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/core/units.ipp"
#endif
