#include <gtest/gtest.h>

#include <vector>

#include "shunt/compose/detail/block_placement.hpp"
#include "support/random_cases.hpp"

namespace shunt::tests::block_placement_test {
namespace {

using namespace detail;

TEST(block_placement, operations_that_overlap_modulo_the_period_by_hand) {
  std::vector<placed> const two{{0, 2, {}}, {5, 2, {}}};
  EXPECT_EQ(collision(two, 5), 7);  // both start at 0 modulo 5; apart from 7 on
  EXPECT_TRUE(fits(two, 7));
  EXPECT_EQ(collision({{3, 4, {}}}, 3), 4);               // overlaps itself
  EXPECT_EQ(collision({{0, 2, {}}, {1, 2, {}}}, 10), 0);  // overlap without any repetition
}

TEST(block_placement, the_first_place_is_the_first_of_all_starts_that_fit) {
  random_cases d(71);
  int placed_ones = 0;
  for (int round = 0; round < 300; ++round) {
    ticks const period = d.roll(4, 12);
    std::vector<placed> own;
    for (int i = 0; i < 4; ++i) {
      ticks const ready = d.roll(0, 20), length = d.roll(1, 4);
      auto const before = own;
      auto const start = first_place(own, ready, length, period);
      ticks tried = ready;
      for (; tried < ready + period; ++tried) {
        auto with = before;
        with.push_back({tried, length, {}});
        if (fits(with, period)) break;
      }
      ASSERT_EQ(start.has_value(), tried < ready + period);
      if (!start) break;
      EXPECT_EQ(*start, tried);
      ++placed_ones;
    }
  }
  EXPECT_GT(placed_ones, 500);
}

TEST(block_placement, divisor_and_work_of_a_job) {
  pipeline_job const job{
      .stages = 4,
      .costs = {.forward = 4, .backward_input = 6, .backward_weight = {2, 2, 2, 8}},
      .transfer = 8,
      .layout = stage_layout::v_shaped()};
  EXPECT_EQ(common_divisor(job), 2);
  EXPECT_EQ(busiest_rank(job), (4 + 6 + 2) + (4 + 6 + 8));  // stages 0 and 3
}

}  // namespace
}  // namespace shunt::tests::block_placement_test
