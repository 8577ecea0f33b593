#include <gtest/gtest.h>

#include <string>

#include "shunt/io/axis.hpp"

namespace shunt::tests::axis_test {
namespace {

TEST(axis, axes_count_in_round_steps) {
  auto const texts = [](axis const& a, int n) {
    std::string all;
    for (auto const& [value, text] : a.marks(n)) all += text + " ";
    return all;
  };
  EXPECT_EQ(texts(axis(0, 27, 0, 1), 6), "0 5 10 15 20 25 ");
  EXPECT_EQ(texts(axis(0, 1, 0, 1), 5), "0 0.2 0.4 0.6 0.8 1 ");
  EXPECT_EQ(texts(axis(-0.003, 0.003, 0, 1), 3), "-0.002 0 0.002 ");
  EXPECT_EQ(texts(axis(1, 1000, 0, 1, true), 4), "1 10 100 1000 ");
  EXPECT_EQ(texts(axis(0, 3e9, 0, 1), 3), "0 1e9 2e9 3e9 ");
  EXPECT_DOUBLE_EQ(axis(0, 10, 100, 200)(2.5), 125);
  EXPECT_DOUBLE_EQ(axis(1, 100, 200, 100, true)(10), 150);
}

}  // namespace
}  // namespace shunt::tests::axis_test
