#include <gtest/gtest.h>

#include "shunt/plan/layer_slots.hpp"
#include "support/expert_problems.hpp"

namespace shunt::tests::layer_slots_test {
namespace {

TEST(layer_slots, rows_are_layers) {
  layer_slots const dealt{.ranks = 2, .slots = {1, 2, 3, 4, 0, 5}};
  EXPECT_EQ(dealt.layers(), 3);
  EXPECT_EQ(dealt.layer(1)[0], 3);
  EXPECT_EQ(dealt.of(1), 7);
  EXPECT_EQ(layer_slots{}.layers(), 0);
}

TEST(layer_slots, one_layer_of_a_problem_keeps_its_own_rows) {
  expert_layers const p{.layers = 2,
                        .experts = 2,
                        .loads = {1, 2, 3, 4},
                        .slots_per_rank = {2, 1},
                        .ranks_per_node = 1,
                        .groups = 2,
                        .previous = {0, 1, 0, 1, 0, 1},
                        .history = {5, 6, 7, 8},
                        .sources = {1, 0, 0, 2, 1, 2, 2, 2}};
  auto one = layer_of(p, 1);
  EXPECT_EQ(one, (expert_layers{.experts = 2,
                                .loads = {3, 4},
                                .slots_per_rank = {2, 1},
                                .ranks_per_node = 1,
                                .groups = 2,
                                .history = {7, 8},
                                .sources = {1, 2, 2, 2}}));
  one.slots_per_rank = {0, 3};
  EXPECT_EQ(layer_of(p, {.ranks = 2, .slots = {2, 1, 0, 3}}, 1), one);
}

}  // namespace
}  // namespace shunt::tests::layer_slots_test
