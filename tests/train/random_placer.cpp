#include "shunt/train/random_placer.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "shunt/check/placement.hpp"
#include "shunt/core/error.hpp"

namespace shunt::tests::random_placer_test {
namespace {

TEST(random_placer, every_expert_is_somewhere_and_elsewhere_the_next_time) {
  expert_layers const layers{.layers = 2,
                             .experts = 5,
                             .loads = std::vector<std::int64_t>(10, 1),
                             .slots_per_rank = {3, 2, 4}};
  random_placer place(3), same(3), other(4);
  auto const first = place(layers), second = place(layers);
  for (auto const* answer : {&first, &second}) {
    ASSERT_TRUE(answer->has_plan());
    EXPECT_TRUE(check(layers, answer->plan).empty());
  }
  EXPECT_NE(first.plan, second.plan);
  EXPECT_EQ(same(layers).plan, first.plan);
  EXPECT_NE(other(layers).plan, first.plan);
}

TEST(random_placer, refuses_what_has_no_placement) {
  expert_layers const layers{.experts = 5, .loads = {1, 1, 1, 1, 1}, .slots_per_rank = {2, 2}};
  random_placer place(1);
  EXPECT_FALSE(place(layers).has_plan());
}

}  // namespace
}  // namespace shunt::tests::random_placer_test
