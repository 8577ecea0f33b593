#include "shunt/lower/expert_buffers.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <vector>

#include "shunt/program/builder.hpp"

namespace shunt::tests::expert_buffers_test {
namespace {

/// Two experts of 10 elements on three ranks: cut in halves, the first of which has a mirror.
shard_map halves() {
  shard_map map{.elements = 10};
  map.shards.push_back(
      {{.owner = 0, .begin = 0, .end = 5, .mirrors = {2}}, {.owner = 1, .begin = 5, .end = 10}});
  map.shards.push_back({{.owner = 2, .begin = 0, .end = 4}, {.owner = 0, .begin = 4, .end = 10}});
  return map;
}

TEST(expert_buffers, shards_lie_by_expert_and_begin_the_owner_before_the_mirrors) {
  auto const held = held_shards(halves(), 3);
  ASSERT_EQ(held.size(), 2U);
  EXPECT_EQ(held[0], (std::vector<held_shard>{{0, 0, true, 0}, {2, 0, false, 0}, {1, 1, true, 0}}));
  EXPECT_EQ(held[1], (std::vector<held_shard>{{2, 0, true, 5}, {0, 1, true, 5}}));
  auto const offsets = shard_offsets(halves(), 3);
  EXPECT_EQ(offsets[0], (std::vector<std::int64_t>{0, 0}));
  EXPECT_EQ(offsets[1], (std::vector<std::int64_t>{5, 5}));
}

TEST(expert_buffers, a_rank_holds_what_it_owns_and_mirrors) {
  EXPECT_EQ(held_elements(halves(), 0), 11);
  EXPECT_EQ(held_elements(halves(), 1), 5);
  EXPECT_EQ(held_elements(halves(), 2), 9);
}

TEST(expert_buffers, are_as_large_as_slots_and_shards) {
  optimizer_state const state{
      .experts = 2, .ranks = 3, .elements = 10, .gradient_bytes = 8, .weight_bytes = 4};
  expert_placement const placement{
      .layers = 1, .experts = 2, .first_slot = {0, 2, 3, 4}, .expert_of = {0, 1, 0, 1}};
  program_builder b(3);
  declare_gradient_buffers(b, state, placement, halves(), {});
  declare_weight_buffers(b, state, placement, halves(), {});
  auto const& own = b.peek().ranks[0].buffers;
  ASSERT_EQ(own.size(), 5U);
  EXPECT_EQ(own[0], (buffer_info{2 * 10 * 8, true}));
  EXPECT_EQ(own[1], (buffer_info{11 * 8, true}));
  EXPECT_EQ(own[2], (buffer_info{6 * 4 * 8, false}));  // most of one expert, for each of 4 slots
  EXPECT_EQ(own[3], (buffer_info{2 * 10 * 4, true}));
  EXPECT_EQ(own[4], (buffer_info{11 * 4, true}));
}

}  // namespace
}  // namespace shunt::tests::expert_buffers_test
