#pragma once
/// 16-bit floating-point numbers for storage and for messages, on host and device. Arithmetic is
/// float's: a sum is computed in float and rounded once, which gives the nearest 16-bit number.
#include <cstdint>
#include <cstring>

#include "shunt/core/host_device.hpp"

namespace shunt {

namespace detail {

[[nodiscard]] SHUNT_HD inline std::uint32_t bits_of(float value) {
  std::uint32_t bits = 0;
  std::memcpy(&bits, &value, sizeof bits);
  return bits;
}
[[nodiscard]] SHUNT_HD inline float float_of(std::uint32_t bits) {
  float value = 0;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

}  // namespace detail

/// The upper half of a float: 8 bits of exponent, 7 of fraction. Rounds to the nearest number, to
/// the even one of two. A NaN stays a NaN.
struct bfloat16 {
  std::uint16_t bits = 0;

  bfloat16() = default;
  SHUNT_HD explicit bfloat16(float value) {
    auto const all = detail::bits_of(value);
    bool const nan = (all & 0x7fffffffU) > 0x7f800000U;
    bits = static_cast<std::uint16_t>(nan ? (all >> 16U) | 0x40U
                                          : (all + 0x7fffU + ((all >> 16U) & 1U)) >> 16U);
  }
  [[nodiscard]] SHUNT_HD explicit operator float() const {
    return detail::float_of(static_cast<std::uint32_t>(bits) << 16U);
  }
  [[nodiscard]] SHUNT_HD friend bfloat16 operator+(bfloat16 a, bfloat16 b) {
    return bfloat16(static_cast<float>(a) + static_cast<float>(b));
  }
  [[nodiscard]] SHUNT_HD friend bool operator<(bfloat16 a, bfloat16 b) {
    return static_cast<float>(a) < static_cast<float>(b);
  }
  [[nodiscard]] SHUNT_HD friend bool operator==(bfloat16 a, bfloat16 b) {
    return static_cast<float>(a) == static_cast<float>(b);
  }
};

/// IEEE 754 binary16: 5 bits of exponent, 10 of fraction; the largest number is 65504. Rounds to
/// the nearest number, to the even one of two; what is beyond the largest becomes infinite. A NaN
/// stays a NaN.
struct float16 {
  std::uint16_t bits = 0;

  float16() = default;
  SHUNT_HD explicit float16(float value) {
    auto const all = detail::bits_of(value);
    std::uint32_t const sign = (all >> 16U) & 0x8000U, size = all & 0x7fffffffU;
    std::uint32_t rounded = 0;
    if (size > 0x7f800000U) {
      rounded = 0x7e00U;  // a NaN
    } else if (size >= 0x477ff000U) {
      rounded = 0x7c00U;               // 65520 and more
    } else if (size >= 0x38800000U) {  // 2^-14 and more: other bias, 13 bits less
      rounded = (size - 0x38000000U + 0xfffU + ((size >> 13U) & 1U)) >> 13U;
    } else {  // multiples of 2^-24, by float's own rounding to multiples of 2^-24 at 0.5
      rounded = detail::bits_of(detail::float_of(size) + 0.5F) - 0x3f000000U;
    }
    bits = static_cast<std::uint16_t>(sign | rounded);
  }
  [[nodiscard]] SHUNT_HD explicit operator float() const {
    std::uint32_t const sign = static_cast<std::uint32_t>(bits & 0x8000U) << 16U,
                        size = bits & 0x7fffU;
    if (size >= 0x7c00U) return detail::float_of(sign | 0x7f800000U | (size & 0x3ffU) << 13U);
    float const scaled = detail::float_of(size << 13U) * 0x1p112F;  // exact, small numbers included
    return detail::float_of(sign | detail::bits_of(scaled));
  }
  [[nodiscard]] SHUNT_HD friend float16 operator+(float16 a, float16 b) {
    return float16(static_cast<float>(a) + static_cast<float>(b));
  }
  [[nodiscard]] SHUNT_HD friend bool operator<(float16 a, float16 b) {
    return static_cast<float>(a) < static_cast<float>(b);
  }
  [[nodiscard]] SHUNT_HD friend bool operator==(float16 a, float16 b) {
    return static_cast<float>(a) == static_cast<float>(b);
  }
};

}  // namespace shunt
