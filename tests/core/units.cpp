#include <gtest/gtest.h>

#include <cstdint>
#include <limits>
#include <optional>

#include "shunt/core/units.hpp"

namespace shunt::tests::units_test {
namespace {

TEST(units, checked_arithmetic_says_where_64_bits_end) {
  constexpr auto most = std::numeric_limits<std::int64_t>::max(),
                 least = std::numeric_limits<std::int64_t>::min();
  EXPECT_EQ(checked_add(most - 1, 1), most);
  EXPECT_EQ(checked_add(most, 1), std::nullopt);
  EXPECT_EQ(checked_add(least, -1), std::nullopt);
  EXPECT_EQ(checked_multiply(std::int64_t{1} << 31, std::int64_t{1} << 31), std::int64_t{1} << 62);
  EXPECT_EQ(checked_multiply(std::int64_t{1} << 32, std::int64_t{1} << 31), std::nullopt);
  EXPECT_EQ(checked_multiply(least, -1), std::nullopt);
}

TEST(units, division_is_rounded_up) {
  EXPECT_EQ(ceil_divide(0, 4), 0);
  EXPECT_EQ(ceil_divide(8, 4), 2);
  EXPECT_EQ(ceil_divide(9, 4), 3);
  EXPECT_EQ(ceil_divide(std::numeric_limits<std::int64_t>::max(), std::int64_t{2}),
            std::int64_t{1} << 62);
}

}  // namespace
}  // namespace shunt::tests::units_test
