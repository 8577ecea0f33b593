#include <gtest/gtest.h>

#include <cstdint>
#include <limits>
#include <vector>

#include "shunt/measure/imbalance.hpp"

namespace shunt::tests::imbalance_test {
namespace {

TEST(imbalance, splits_an_experts_load_evenly_over_its_replicas) {
  expert_placement const plan{
      .layers = 1, .experts = 2, .first_slot = {0, 2, 4, 4}, .expert_of = {0, 0, 0, 1}};
  std::vector<std::int64_t> const loads{30, 50};
  EXPECT_EQ(shunt::rank_loads(loads, plan, 0).items(), (std::vector<double>{20, 60, 0}));
  EXPECT_EQ(shunt::max_over_mean(loads, plan, 0), 1.5);  // rank 2 has no slots and doesn't count
  EXPECT_EQ(shunt::hosted_pairs(plan, 0), 3);
  EXPECT_EQ(shunt::drops_under_capacity(loads, plan, 0, 20), 30);
  EXPECT_EQ(shunt::drops_under_capacity(loads, plan, 0, 9), 3 + 41);
  EXPECT_EQ(shunt::drops_under_capacity(loads, plan, 0, std::numeric_limits<std::int64_t>::max()),
            0);
  EXPECT_EQ(shunt::max_over_mean(std::vector<std::int64_t>{0, 0}, plan, 0), 1);
}

}  // namespace
}  // namespace shunt::tests::imbalance_test
