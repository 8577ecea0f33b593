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

}  // namespace
}  // namespace shunt::tests::winner_tree_test
