#include <gtest/gtest.h>

#include "shunt/plan/expert_placement.hpp"

namespace shunt::tests::expert_placement_test {
namespace {

expert_placement two_layers() {
  return {
      .layers = 2, .experts = 3, .first_slot = {0, 2, 2, 4}, .expert_of = {0, 1, 1, 2, 2, 2, 0, 1}};
}

TEST(expert_placement, layers_are_rows) {
  auto plan = two_layers();
  EXPECT_EQ(plan.ranks(), 3);
  EXPECT_EQ(plan.slots(), 4);
  EXPECT_EQ(plan.layer(1)[2], 0);
  plan.layer(0)[3] = 0;
  EXPECT_EQ(plan.expert_of[3], 0);
  EXPECT_EQ(expert_placement{}.ranks(), 0);
}

TEST(expert_placement, a_slot_lies_on_the_rank_whose_slots_it_is_among) {
  auto const plan = two_layers();
  EXPECT_EQ(plan.rank_of(0), 0);
  EXPECT_EQ(plan.rank_of(1), 0);
  EXPECT_EQ(plan.rank_of(2), 2);  // rank 1 has no slot
  EXPECT_EQ(plan.rank_of(3), 2);
}

}  // namespace
}  // namespace shunt::tests::expert_placement_test
