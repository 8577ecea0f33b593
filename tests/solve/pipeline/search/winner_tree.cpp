#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "shunt/solve/pipeline/search/winner_tree.hpp"
#include "support/random_cases.hpp"

namespace shunt::tests::winner_tree_test {
namespace {

using namespace detail;

TEST(winner_tree, agrees_with_the_first_of_the_least) {
  random_cases d(31);
  for (std::size_t const players : {1u, 7u, 8u, 9u, 64u, 65u, 600u}) {
    winner_tree tree(players);
    std::vector<ticks> times(players, winner_tree::never);
    EXPECT_EQ(tree.winner(), 0);
    for (int round = 0; round < 300; ++round) {
      auto const at = static_cast<std::size_t>(d.roll(0, static_cast<std::int32_t>(players) - 1));
      times[at] = d.roll(0, 3) == 0 ? winner_tree::never : d.roll(0, 40);
      tree.set(static_cast<std::int32_t>(at), times[at]);
      EXPECT_EQ(tree.winner(), std::min_element(times.begin(), times.end()) - times.begin());
      EXPECT_EQ(tree[static_cast<std::int32_t>(at)], times[at]);
    }
    tree.clear();
    EXPECT_EQ(tree[0], winner_tree::never);
  }
}

TEST(winner_tree, the_next_winner_of_a_clock_is_the_winner) {
  random_cases d(37);
  for (std::size_t const players : {1u, 8u, 9u, 70u, 600u}) {
    winner_tree tree(players);
    auto const last_player = static_cast<std::int32_t>(players) - 1;
    for (std::int32_t player = 0; player <= last_player; ++player) tree.set(player, d.roll(0, 3));
    std::int32_t next = tree.winner();
    int same = 0;
    for (int round = 0; round < 2000 && tree[next] != winner_tree::never; ++round) {
      ticks const now = tree[next];
      tree.set(next, d.roll(0, 9) == 0 ? winner_tree::never : now + d.roll(1, 3));
      if (auto const other = d.roll(0, last_player); other != next && tree[other] > now)
        tree.set(other, now + d.roll(1, 3));
      next = tree.winner_after(next, now);
      ASSERT_EQ(next, tree.winner());
      same += tree[next] == now;
    }
    EXPECT_TRUE(players == 1 || same > 0);
  }
}

}  // namespace
}  // namespace shunt::tests::winner_tree_test
