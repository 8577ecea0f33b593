#include <gtest/gtest.h>

#include <vector>

#include "shunt/plan/shard_recovery.hpp"

namespace shunt::tests::shard_recovery_test {
namespace {

shard_map map_of_two() {
  shard_map map{.elements = 10};
  for (int e = 0; e < 3; ++e)
    map.shards.push_back({{.owner = 0, .begin = 0, .end = 4},
                          {.owner = 1, .begin = 4, .end = 7},
                          {.owner = 2, .begin = 7, .end = 10}});
  return map;
}

TEST(shard_recovery, alike_experts_and_neighbouring_shards_are_one_piece) {
  lost_ranks const lost{.state = {.experts = 3, .ranks = 4, .elements = 10}, .dead = {1, 2}};
  EXPECT_EQ(state_lost_with(lost, map_of_two()), (std::vector<lost_state>{{0, 2, 4, 10}}));
}

TEST(shard_recovery, a_mirror_on_a_live_rank_keeps_a_shard) {
  lost_ranks const lost{.state = {.experts = 3, .ranks = 4, .elements = 10}, .dead = {1, 2}};
  auto map = map_of_two();
  map.shards[1][1].mirrors = {3};
  EXPECT_EQ(state_lost_with(lost, map),
            (std::vector<lost_state>{{0, 0, 4, 10}, {1, 1, 7, 10}, {2, 2, 4, 10}}));
  for (auto& shards : map.shards)
    for (shard& s : shards) s.mirrors = {3};
  EXPECT_TRUE(state_lost_with(lost, map).empty());
}

}  // namespace
}  // namespace shunt::tests::shard_recovery_test
