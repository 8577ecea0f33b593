#include <gtest/gtest.h>

#include <cstddef>
#include <random>
#include <vector>

#include "shunt/measure/imbalance.hpp"
#include "shunt/solve/experts/search/windowed_placement.hpp"
#include "support/random_cases.hpp"

namespace shunt::tests::windowed_placement_test {
namespace {

using namespace detail;

// Loads that every number of replicas up to 3 divides, so that whole numbers are exact.
TEST(windowed_placement, scores_changes_as_they_turn_out) {
  std::mt19937_64 random(61);
  expert_layers p{.experts = 4,
                  .loads = {6, 12, 60, 18},
                  .slots_per_rank = {2, 2, 3},
                  .history = {24, 6, 6, 60}};
  windowed_placement layer(p, 2);
  layer.load(p, 0);
  std::vector<expert_id> const slots{0, 1, 2, 3, 2, 1, 0};
  ASSERT_TRUE(layer.place(slots));
  EXPECT_EQ(layer.copies(2), 2);
  EXPECT_EQ(layer.held(2, 2), 1);
  EXPECT_EQ(layer.rank_of(3), 1u);
  for (int i = 0; i < 50; ++i) {
    auto const s = static_cast<std::size_t>(below(random, 2)),
               t = static_cast<std::size_t>(2 + below(random, 2));
    auto const foreseen = layer.score_swapped(s, t);
    layer.swap(s, t);
    EXPECT_NEAR(layer.score(), foreseen, 1e-9);
  }
  ASSERT_TRUE(layer.place(slots));
  auto const foreseen = layer.score_with(2, 0);  // rank 1 gives its replica of expert 2 away
  layer.give(2, 0);
  EXPECT_NEAR(layer.score(), foreseen, 1e-9);
}

TEST(windowed_placement, the_score_is_the_mean_of_max_over_mean) {
  expert_layers const p{
      .experts = 2, .loads = {30, 10}, .slots_per_rank = {1, 1}, .history = {20, 20}};
  windowed_placement layer(p, 2);
  layer.load(p, 0);
  ASSERT_TRUE(layer.place(std::vector<expert_id>{0, 1}));
  EXPECT_NEAR(layer.score(), (30.0 / 20 + 1) / 2, 1e-6);
  EXPECT_FALSE(layer.place(std::vector<expert_id>{1, 1}));
}

}  // namespace
}  // namespace shunt::tests::windowed_placement_test
