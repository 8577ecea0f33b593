#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <vector>

#include "shunt/solve/pipeline/search/side_by_side.hpp"
#include "support/random_cases.hpp"

namespace shunt::tests::side_by_side_test {
namespace {

using namespace detail;

TEST(side_by_side, entries_of_a_group_lie_side_by_side) {
  side_by_side const table({{0, 4}, {1, 2}, {0, 4}, {1, 2}, {0, 3}}, 2);
  EXPECT_EQ(table.columns[0][0], 0u);
  EXPECT_EQ(table.columns[2][0], 1u);
  EXPECT_EQ(table.columns[4][0], 2u);
  EXPECT_EQ(table.columns[0][3], 9u);
  EXPECT_EQ(table.columns[2].place_of(table.columns[2][3]), 3u);
}

TEST(side_by_side, a_group_with_one_long_list_has_its_lists_one_behind_the_other) {
  side_by_side const table({{0, 100}, {0, 1}, {0, 1}}, 1);
  EXPECT_EQ(table.entries, 102u);
  EXPECT_EQ(table.columns[1][0], 100u);
  EXPECT_EQ(table.columns[2][0], 101u);
}

TEST(side_by_side, no_two_entries_meet_and_few_are_empty) {
  random_cases d(3);
  for (int round = 0; round < 200; ++round) {
    auto const groups = d.roll(1, 4);
    std::vector<grouped_list> lists;
    std::size_t all = 0;
    for (auto left = d.roll(1, 12); left > 0; --left) {
      lists.push_back({d.roll(0, groups - 1), d.roll(0, 9)});
      all += static_cast<std::size_t>(lists.back().entries);
    }
    side_by_side const table(lists, static_cast<std::size_t>(groups));
    ASSERT_LE(4 * table.entries, 5 * all);
    std::vector<int> used(table.entries, 0);
    for (std::size_t i = 0; i < lists.size(); ++i)
      for (std::int32_t k = 0; k < lists[i].entries; ++k) {
        ASSERT_LT(table.columns[i][k], table.entries);
        EXPECT_EQ(used[table.columns[i][k]]++, 0);
        EXPECT_EQ(table.columns[i].place_of(table.columns[i][k]), static_cast<std::size_t>(k));
      }
  }
}

}  // namespace
}  // namespace shunt::tests::side_by_side_test
