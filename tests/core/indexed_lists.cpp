#include <gtest/gtest.h>

#include <vector>

#include "shunt/core/indexed_lists.hpp"

namespace shunt::tests::indexed_lists_test {
namespace {

using lists = indexed_lists<rank_id, int>;

TEST(indexed_lists, are_filled_one_after_another) {
  lists filled;
  filled.reserve(3, 3);
  auto const first = filled.add(2);
  EXPECT_EQ(first.size(), 2);
  EXPECT_TRUE(filled.add(0).empty());
  filled.add(1).front() = 7;
  first[0] = 5;
  first[1] = 6;
  EXPECT_EQ(filled, lists({{5, 6}, {}, {7}}));
  EXPECT_NE(filled, lists({{5, 6}, {7}, {}}));
  EXPECT_EQ(filled.items(), (std::vector{5, 6, 7}));
}

TEST(indexed_lists, are_addressed_by_their_id) {
  lists const some({{5, 6}, {}, {7}});
  EXPECT_EQ(some.size(), 3);
  EXPECT_EQ(some[0].size(), 2);
  EXPECT_EQ(some[0].back(), 6);
  EXPECT_TRUE(some[1].empty());
  EXPECT_EQ(some[2].front(), 7);
  auto changed = some;
  changed[2].front() = 8;
  EXPECT_EQ(changed, lists({{5, 6}, {}, {8}}));
}

TEST(indexed_lists, contain_the_ids_below_their_number) {
  lists const some({{}, {}});
  EXPECT_TRUE(some.contains(1));
  EXPECT_FALSE(some.contains(2));
  EXPECT_FALSE(some.contains(-1));
  EXPECT_FALSE(some.empty());
  EXPECT_TRUE(lists{}.empty());
}

}  // namespace
}  // namespace shunt::tests::indexed_lists_test
