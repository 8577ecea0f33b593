#include <gtest/gtest.h>

#include "shunt/plan/token_quotas.hpp"

namespace shunt::tests::token_quotas_test {
namespace {

TEST(token_quotas, copies_stand_layer_by_layer) {
  token_quotas const plan{.first_copy = {0, 2, 2, 3},
                          .copies = {{4, 1, 10}, {5, 0, 20}, {1, 2, 30}}};
  EXPECT_EQ(plan.layers(), 3);
  EXPECT_EQ(plan.layer(0).size(), 2u);
  EXPECT_TRUE(plan.layer(1).empty());
  EXPECT_EQ(plan.layer(2)[0], (expert_copy{1, 2, 30}));
  EXPECT_EQ(token_quotas{}.layers(), 0);
}

}  // namespace
}  // namespace shunt::tests::token_quotas_test
