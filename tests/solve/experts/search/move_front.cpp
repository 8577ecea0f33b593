#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <random>
#include <vector>

#include "shunt/check/placement.hpp"
#include "shunt/measure/imbalance.hpp"
#include "shunt/measure/moved_experts.hpp"
#include "shunt/measure/required_moves.hpp"
#include "shunt/solve/experts/eplb.hpp"
#include "shunt/solve/experts/search/move_front.hpp"
#include "support/lost_experts.hpp"

namespace shunt::tests::move_front_test {
namespace {

TEST(move_front, points_are_what_they_say) {
  std::mt19937_64 random(78);
  std::size_t most = 0;
  for (int i = 0; i < 150; ++i) {
    auto const p = random_loss(random, 10, 6, 4);
    if (p.layers > 1) continue;
    detail::move_front search(p, 1);
    EXPECT_EQ(search.begin(), shunt::required_moves(p, 0));
    auto plan = shunt::eplb{}(p).plan;
    search.grow();
    search.take_back(plan);
    search.walk(500, 1);
    auto const front = search.points(100);
    for (auto const& point : front) {
      plan.expert_of = point.slots;
      EXPECT_TRUE(shunt::check(p, plan).empty());
      EXPECT_EQ(shunt::moved_experts(p.previous, plan, 0), point.moves);
      EXPECT_EQ(shunt::max_over_mean(p.loads, plan, 0), point.max_over_mean);
    }
    for (std::size_t k = 1; k < front.size(); ++k) {
      EXPECT_LT(front[k].max_over_mean, front[k - 1].max_over_mean);
      auto const within = search.points(front[k].moves - 1);
      EXPECT_EQ(within.size(), k);  // the same points
      EXPECT_EQ(within.back().slots, front[k - 1].slots);
    }
    most = std::max(most, front.size());
  }
  EXPECT_GT(most, 3u);
}

}  // namespace
}  // namespace shunt::tests::move_front_test
