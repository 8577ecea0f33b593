#include <gtest/gtest.h>

#include <vector>

#include "shunt/core/indexed.hpp"

namespace shunt::tests::indexed_test {
namespace {

TEST(indexed, is_addressed_by_its_id) {
  indexed<stage_id, int> list{5, 6};
  list.push_back(7);
  list[stage_id{0}] = 4;
  EXPECT_EQ(list[stage_id{2}], 7);
  EXPECT_EQ(list.items(), (std::vector<int>{4, 6, 7}));
  list.resize(4, 9);
  EXPECT_EQ(list, (indexed<stage_id, int>{4, 6, 7, 9}));
}

TEST(indexed, contains_the_ids_below_its_size) {
  indexed<rank_id, int> const list(3, 8);
  EXPECT_TRUE(list.contains(2));
  EXPECT_FALSE(list.contains(3));
  EXPECT_FALSE(list.contains(-1));
  EXPECT_TRUE((indexed<rank_id, int>{}.empty()));
}

TEST(indexed, ids_run_from_zero_to_the_count) {
  std::vector<int> seen;
  for (expert_id e : ids<expert_id>(3)) seen.push_back(e.value());
  EXPECT_EQ(seen, (std::vector<int>{0, 1, 2}));
  for (expert_id e : ids<expert_id>(0)) ADD_FAILURE() << e.value();
}

}  // namespace
}  // namespace shunt::tests::indexed_test
