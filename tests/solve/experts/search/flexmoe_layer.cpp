#include <gtest/gtest.h>

#include <cstdint>
#include <vector>

#include "shunt/solve/experts/search/flexmoe_layer.hpp"

namespace shunt::tests::flexmoe_layer_test {
namespace {

using namespace detail;

TEST(flexmoe_layer, measures_the_fullest_and_the_slowest_rank) {
  std::vector<std::int32_t> const slots{2, 2};
  flexmoe_layer layer(slots, 3);
  std::vector<std::int64_t> const loads{8, 2, 6};
  std::vector<expert_id> const placed{0, 1, 0, 2};
  layer.load(loads, placed);
  auto const now = layer.measure(layer.scaled(1));
  EXPECT_EQ(now.fullest, layer.scaled(4 + 6));   // rank 1: half of expert 0, and expert 2
  EXPECT_EQ(now.time, layer.scaled(4 + 6 + 1));  // and expert 0 synchronised
  EXPECT_EQ(now.slowest, 1);
  EXPECT_EQ(layer.hosts()[0], 2);
  EXPECT_EQ(layer.replicas()[2], 1);
  EXPECT_TRUE(layer.out_of_balance(now, 1.24));
  EXPECT_FALSE(layer.out_of_balance(now, 1.26));  // 10 of 8 on average
  EXPECT_TRUE(layer.held_beside(0, 1));
  EXPECT_FALSE(layer.held_beside(0, 2));
}

}  // namespace
}  // namespace shunt::tests::flexmoe_layer_test
