#include <gtest/gtest.h>

#include "shunt/plan/shard_map.hpp"

namespace shunt::tests::shard_map_test {
namespace {

TEST(shard_map, a_shard_is_held_by_owner_and_mirrors) {
  shard const s{.owner = 2, .begin = 3, .end = 10, .mirrors = {0, 4}};
  EXPECT_EQ(s.size(), 7);
  EXPECT_TRUE(s.held_by(2));
  EXPECT_TRUE(s.held_by(4));
  EXPECT_FALSE(s.held_by(1));
}

TEST(shard_map, mirrors_count_for_equality) {
  shard_map a{.elements = 10, .shards = {{{.owner = 0, .begin = 0, .end = 10}}}};
  auto b = a;
  EXPECT_EQ(a, b);
  b.shards[0][0].mirrors.push_back(1);
  EXPECT_NE(a, b);
}

}  // namespace
}  // namespace shunt::tests::shard_map_test
