#include "shunt/train/merged_losses.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <utility>
#include <vector>

namespace shunt::tests::merged_losses_test {
namespace {

loss loss_at(std::int64_t iteration, std::vector<rank_id> ranks, ticks noticed) {
  loss l;
  l.iteration = iteration;
  l.ranks = std::move(ranks);
  l.noticed = noticed;
  return l;
}

TEST(merged_losses, phases_are_the_longest_that_a_survivor_saw) {
  merged_losses<> all;
  auto first = loss_at(3, {2}, 100), second = first;
  first.detect = 10, first.redo = 1, first.instructions_lost = 4, first.steps_undone = 1;
  second.detect = 20, second.agree = 5, second.instructions_lost = 6;
  all.receive(0, loss_at(7, {3}, 900));
  all.receive(0, first);
  all.receive(1, second);
  all.receive(3, loss_at(3, {2}, 50));
  auto const merged = all.merged([](rank_id r) { return r != 3; });
  ASSERT_EQ(merged.size(), 2);
  EXPECT_EQ(merged[0].iteration, 3);
  EXPECT_EQ(merged[0].detect, 20);
  EXPECT_EQ(merged[0].agree, 5);
  EXPECT_EQ(merged[0].redo, 1);
  EXPECT_EQ(merged[0].instructions_lost, 10);
  EXPECT_EQ(merged[0].steps_undone, 1);
  EXPECT_EQ(merged[1].iteration, 7);
}

TEST(merged_losses, a_kill_is_noticed_from_its_moment_on) {
  merged_losses<> all;
  all.killed(2, 60);
  all.receive(0, loss_at(3, {2}, 100));
  EXPECT_EQ(all.merged([](rank_id) { return true; }).at(0).detect, 40);
}

}  // namespace
}  // namespace shunt::tests::merged_losses_test
