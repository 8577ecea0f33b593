#include <gtest/gtest.h>

#include <vector>

#include "shunt/measure/spilled_replicas.hpp"

namespace shunt::tests::spilled_replicas_test {
namespace {

TEST(spilled_replicas, slots_away_from_the_home_of_their_group) {
  expert_layers const p{.experts = 4,
                        .loads = {1, 1, 1, 1},
                        .slots_per_rank = {2, 1, 2, 1},
                        .ranks_per_node = 2,
                        .groups = 2};
  expert_placement const plan{
      .layers = 1, .experts = 4, .first_slot = {0, 2, 3, 5, 6}, .expert_of = {0, 1, 2, 3, 2, 0}};
  EXPECT_EQ(group_homes(p, plan, 0), (std::vector<node_id>{0, 1}));
  EXPECT_EQ(spilled_replicas(p, plan, 0), 2);  // expert 2 on node 0, expert 0 on node 1
}

TEST(spilled_replicas, ties_go_to_the_lowest_node_and_one_node_spills_nothing) {
  expert_layers p{
      .experts = 2, .loads = {1, 1}, .slots_per_rank = {2, 2}, .ranks_per_node = 1, .groups = 2};
  expert_placement const plan{
      .layers = 1, .experts = 2, .first_slot = {0, 2, 4}, .expert_of = {0, 1, 0, 1}};
  EXPECT_EQ(group_homes(p, plan, 0), (std::vector<node_id>{0, 0}));
  EXPECT_EQ(spilled_replicas(p, plan, 0), 2);
  p.ranks_per_node = 2;
  EXPECT_EQ(spilled_replicas(p, plan, 0), 0);
}

}  // namespace
}  // namespace shunt::tests::spilled_replicas_test
