#include "shunt/device/product_shape.hpp"

#include <gtest/gtest.h>

namespace shunt::tests::product_shape_test {
namespace {

TEST(product_shape, is_ordered_and_knows_what_is_transposed) {
  product_shape const forward{32, 64, 128};
  product_shape const gradient{.rows = 32, .inner = 128, .columns = 64, .transpose_b = true};
  EXPECT_NE(forward, gradient);
  EXPECT_LT(forward, gradient);
  EXPECT_LT(forward, (product_shape{32, 64, 128, false, true}));
  EXPECT_EQ(product_shape{}.rows, 0);
}

}  // namespace
}  // namespace shunt::tests::product_shape_test
