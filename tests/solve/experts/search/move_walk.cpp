#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <random>
#include <vector>

#include "shunt/check/placement.hpp"
#include "shunt/measure/moved_experts.hpp"
#include "shunt/solve/experts/eplb.hpp"
#include "shunt/solve/experts/search/move_walk.hpp"
#include "support/lost_experts.hpp"

namespace shunt::tests::move_walk_test {
namespace {

TEST(move_walk, keeps_placements_whole_and_repeats_itself) {
  std::mt19937_64 random(79);
  int several = 0;
  for (int i = 0; i < 100; ++i) {
    auto const p = random_loss(random, 12, 6, 4);
    if (p.layers > 1) continue;
    auto plan = shunt::eplb{}(p).plan;
    auto const walked = [&] {
      detail::move_walk walk(p, {.target = 1.01}, {});
      walk(plan.expert_of, 2000);
      return walk.best();
    };
    auto const best = walked();
    EXPECT_EQ(best, walked());
    ASSERT_FALSE(best.empty());
    several += best.size() > 1;
    std::int32_t moved = -1;
    for (auto const& slots : best) {
      plan.expert_of = slots;
      EXPECT_TRUE(shunt::check(p, plan).empty());
      EXPECT_GT(shunt::moved_experts(p.previous, plan, 0), moved);
      moved = shunt::moved_experts(p.previous, plan, 0);
    }
  }
  EXPECT_GT(several, 10);
}

}  // namespace
}  // namespace shunt::tests::move_walk_test
