#include "shunt/train/fixed_point.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <limits>

namespace shunt::tests::fixed_point_test {
namespace {

TEST(fixed_point, whole_multiples_of_its_unit_come_back) {
  for (float const value : {0.0F, 1.0F, -1.0F, 0x1p-40F, 63.75F, -0.001953125F}) {
    EXPECT_EQ(fixed_point::mean(fixed_point::rounded(value), 1), value);
    EXPECT_EQ(fixed_point::mean(3 * fixed_point::rounded(value), 3), value);
  }
  EXPECT_EQ(fixed_point::rounded(0x1p-41F), 0);
  EXPECT_EQ(fixed_point::rounded(0x1.8p-40F), 2);
}

TEST(fixed_point, what_does_not_fit_counts_as_nothing) {
  for (float const value : {64.0F, -64.0F, std::numeric_limits<float>::infinity(), NAN}) {
    EXPECT_FALSE(fixed_point::fits(value));
    EXPECT_EQ(fixed_point::rounded(value), 0);
  }
  EXPECT_TRUE(fixed_point::fits(std::nextafter(64.0F, 0.0F)));
}

TEST(fixed_point, the_most_terms_fit) {
  auto const largest = fixed_point::rounded(std::nextafter(64.0F, 0.0F));
  EXPECT_LE(largest, std::numeric_limits<std::int64_t>::max() / fixed_point::most_terms);
}

}  // namespace
}  // namespace shunt::tests::fixed_point_test
