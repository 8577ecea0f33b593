#include <gtest/gtest.h>

#include <cstdint>
#include <vector>

#include "shunt/solve/author/experts.hpp"

namespace shunt::tests::author_experts_test {
namespace {

TEST(author_experts, a_problem_without_slots_for_all_has_no_placement) {
  auto const none = unplaced({.experts = 3, .loads = {1, 1, 1}, .slots_per_rank = {1, 1}});
  EXPECT_EQ(none.status, status::infeasible);
  EXPECT_EQ(none.reason, "slots_per_rank: 2 slots for 3 experts");
}

TEST(author_experts, the_shape_of_a_placement_is_that_of_the_slots) {
  auto const shape =
      unplaced({.layers = 2, .experts = 2, .loads = {1, 2, 3, 4}, .slots_per_rank = {2, 0, 1}});
  EXPECT_EQ(shape.plan.first_slot, (std::vector<std::int32_t>{0, 2, 2, 3}));
  EXPECT_EQ(shape.plan.expert_of.size(), 6u);
  EXPECT_TRUE(shape.has_plan());
}

TEST(author_experts, a_placement_at_its_bound_is_optimal) {
  expert_layers const p{.experts = 2, .loads = {3, 1}, .slots_per_rank = {1, 1}};
  auto const apart =
      evaluated(p, {.layers = 1, .experts = 2, .first_slot = {0, 1, 2}, .expert_of = {0, 1}});
  EXPECT_EQ(apart.status, status::optimal);
  EXPECT_DOUBLE_EQ(apart.objective, 1.5);
  expert_layers const even{.experts = 2, .loads = {1, 1}, .slots_per_rank = {2, 2}};
  auto const lopsided = evaluated(
      even, {.layers = 1, .experts = 2, .first_slot = {0, 2, 4}, .expert_of = {0, 0, 0, 1}});
  EXPECT_EQ(lopsided.status, status::feasible);
  EXPECT_DOUBLE_EQ(lopsided.lower_bound, 1);
  EXPECT_NEAR(lopsided.objective, 4.0 / 3, 1e-12);
}

}  // namespace
}  // namespace shunt::tests::author_experts_test
