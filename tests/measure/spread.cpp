#include "shunt/measure/spread.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace shunt::tests::spread_test {
namespace {

TEST(spread, median_least_and_most) {
  spread const odd({5, 1, 3});
  EXPECT_EQ(odd.median, 3);
  EXPECT_EQ(odd.least, 1);
  EXPECT_EQ(odd.most, 5);
  EXPECT_EQ(odd.count, 3);
  EXPECT_EQ(spread({4, 1, 2, 8}).median, 3);
}

TEST(spread, of_nothing_is_zero) {
  spread const none(std::vector<double>{});
  EXPECT_EQ(none.count, 0);
  EXPECT_EQ(none.median, 0);
  EXPECT_EQ(none.most, 0);
}

}  // namespace
}  // namespace shunt::tests::spread_test
