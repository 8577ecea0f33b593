#include "shunt/execute/elements.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "shunt/core/float16.hpp"

namespace shunt::tests::elements_test {
namespace {

template <class T>
std::vector<T> accumulated(element type, reduction how, std::vector<T> target,
                           std::vector<T> const& source) {
  accumulate(type, how, std::as_writable_bytes(std::span(target)),
             std::as_bytes(std::span(source)));
  return target;
}

TEST(elements, integers_wrap_around) {
  constexpr auto most = std::numeric_limits<std::int32_t>::max();
  EXPECT_EQ(accumulated<std::int32_t>(element::int32, reduction::sum, {most, -1, 4}, {1, -2, 5}),
            (std::vector<std::int32_t>{std::numeric_limits<std::int32_t>::min(), -3, 9}));
  EXPECT_EQ(accumulated<std::int64_t>(element::int64, reduction::sum,
                                      {std::numeric_limits<std::int64_t>::min()}, {-1}),
            (std::vector<std::int64_t>{std::numeric_limits<std::int64_t>::max()}));
}

TEST(elements, bytes_count_as_unsigned) {
  EXPECT_EQ(accumulated<std::uint8_t>(element::bytes, reduction::sum, {250, 1}, {10, 2}),
            (std::vector<std::uint8_t>{4, 3}));
  EXPECT_EQ(accumulated<std::uint8_t>(element::bytes, reduction::max, {250, 1}, {10, 2}),
            (std::vector<std::uint8_t>{250, 2}));
}

TEST(elements, max_keeps_its_left_operand_unless_the_right_one_is_greater) {
  auto const zeros = accumulated<double>(element::float64, reduction::max, {-0.0, 1}, {0.0, 3});
  EXPECT_TRUE(std::signbit(zeros[0]));
  EXPECT_EQ(zeros[1], 3);
}

TEST(elements, floats_are_added_one_by_one) {
  EXPECT_EQ(accumulated<float>(element::float32, reduction::sum, {0x1p24F, 0.5F}, {1, 0.25F}),
            (std::vector<float>{0x1p24F, 0.75F}));  // 2^24 + 1 rounds to 2^24
  EXPECT_TRUE(std::isnan(
      accumulated<double>(element::float64, reduction::sum, {std::nan("")}, {1}).front()));
}

template <class T>
void expect_16_bits(element type) {
  auto const numbers = [](std::vector<float> const& values) {
    std::vector<T> all;
    for (float const v : values) all.push_back(T(v));
    return all;
  };
  EXPECT_EQ(accumulated<T>(type, reduction::sum, numbers({1, 4096, -2}), numbers({0.5F, 1, 2})),
            numbers({1.5F, 4096, 0}));
  EXPECT_EQ(accumulated<T>(type, reduction::max, numbers({1, -3}), numbers({0.5F, -2})),
            numbers({1, -2}));
}

TEST(elements, numbers_of_16_bits_are_added_as_floats_and_rounded) {
  expect_16_bits<bfloat16>(element::bfloat16);
  expect_16_bits<float16>(element::float16);
}

}  // namespace
}  // namespace shunt::tests::elements_test
