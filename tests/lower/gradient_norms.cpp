#include "shunt/lower/gradient_norms.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace shunt::tests::gradient_norms_test {
namespace {

TEST(gradient_norms, a_step_may_be_made_where_all_values_are_finite) {
  EXPECT_TRUE((gradient_norms{0, 25, 3}).finite());
  EXPECT_FALSE((gradient_norms{1, 25, 3}).finite());
  EXPECT_FALSE((gradient_norms{0, std::numeric_limits<double>::infinity(), 3}).finite());
  EXPECT_FALSE((gradient_norms{0, std::nan(""), 3}).finite());
}

TEST(gradient_norms, gradients_are_scaled_down_to_the_norm_and_never_up) {
  gradient_norms const five{0, 25, 1};
  EXPECT_EQ(five.coefficient(10), 1);
  EXPECT_EQ(five.coefficient(5), 5 / (5 + 1e-6));
  EXPECT_EQ(five.coefficient(1), 1 / (5 + 1e-6));
  EXPECT_EQ((gradient_norms{}).coefficient(1), 1);
}

TEST(gradient_norms, as_shares_are_added_the_coefficient_only_falls) {
  gradient_norms sum;
  double last = 1;
  for (int share = 1; share <= 20; ++share) {
    sum.squares += share * 0.7;
    EXPECT_LE(sum.coefficient(3), last);
    last = sum.coefficient(3);
  }
  EXPECT_LT(last, 1);
}

}  // namespace
}  // namespace shunt::tests::gradient_norms_test
