#include "shunt/core/float16.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <random>

namespace shunt::tests::float16_test {
namespace {

template <class T>
T of_bits(std::uint32_t bits) {
  T value;
  value.bits = static_cast<std::uint16_t>(bits);
  return value;
}

template <class T>
void expect_round_trips() {
  for (std::uint32_t b = 0; b < 65536; ++b) {
    auto const value = static_cast<float>(of_bits<T>(b));
    if (std::isnan(value))
      EXPECT_TRUE(std::isnan(static_cast<float>(T(value)))) << b;
    else
      EXPECT_EQ(T(value).bits, b);
  }
}

TEST(float16, every_number_comes_back) {
  expect_round_trips<bfloat16>();
  expect_round_trips<float16>();
}

/// Every value rounds to the nearest of its two neighbours, to the one with an even last bit where
/// both are as near.
template <class T>
void expect_nearest(float value) {
  auto const found = T(value);
  auto const near = static_cast<double>(static_cast<float>(found));
  if (std::isinf(near)) return;
  auto const distance = std::abs(near - static_cast<double>(value));
  for (int const step : {-1, 1}) {
    if ((found.bits & 0x7fffU) == 0 && step < 0) continue;
    auto const other = static_cast<double>(
        static_cast<float>(of_bits<T>(static_cast<std::uint32_t>(found.bits + step))));
    if (std::isinf(other)) continue;
    auto const others = std::abs(other - static_cast<double>(value));
    EXPECT_LE(distance, others) << value;
    if (distance == others) {
      EXPECT_EQ(found.bits % 2, 0) << value;
    }
  }
}

TEST(float16, rounds_to_the_nearest) {
  std::mt19937 random(1);
  for (int n = 0; n < 200'000; ++n) {
    float const fraction = static_cast<float>(random()) * 0x1p-32F + 0.5F;
    float const value = std::ldexp(fraction, static_cast<int>(random() % 48) - 30);
    expect_nearest<bfloat16>(value);
    expect_nearest<float16>(value);
    expect_nearest<float16>(-value);
  }
  for (std::uint32_t b = 0; b < 0x7bff; ++b) {  // ties
    float const low = static_cast<float>(of_bits<float16>(b)),
                high = static_cast<float>(of_bits<float16>(b + 1));
    EXPECT_EQ(float16((low + high) / 2).bits, b + b % 2);
  }
}

TEST(float16, the_ends_of_the_range) {
  EXPECT_EQ(float16(65504.0F).bits, 0x7bff);
  EXPECT_EQ(float16(65519.9F).bits, 0x7bff);
  EXPECT_EQ(float16(65520.0F).bits, 0x7c00);
  EXPECT_EQ(float16(-1e30F).bits, 0xfc00);
  EXPECT_EQ(float16(0x1p-24F).bits, 1);
  EXPECT_EQ(float16(0x1p-25F).bits, 0);
  EXPECT_EQ(float16(-0.0F).bits, 0x8000);
  EXPECT_EQ(bfloat16(std::numeric_limits<float>::max()).bits, 0x7f80);
  EXPECT_EQ(bfloat16(std::numeric_limits<float>::infinity()).bits, 0x7f80);
  EXPECT_TRUE(std::isnan(static_cast<float>(bfloat16(std::nanf("")))));
  EXPECT_TRUE(std::isnan(static_cast<float>(float16(std::nanf("")))));
}

TEST(float16, sums_are_rounded_once) {
  EXPECT_EQ(bfloat16(256) + bfloat16(1), bfloat16(256));
  EXPECT_EQ(bfloat16(256) + bfloat16(3), bfloat16(260));
  EXPECT_EQ(float16(2048) + float16(1), float16(2048));
  EXPECT_TRUE(float16(1) < float16(2));
}

}  // namespace
}  // namespace shunt::tests::float16_test
