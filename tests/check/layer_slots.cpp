#include <gtest/gtest.h>

#include <cstdint>
#include <vector>

#include "shunt/check/layer_slots.hpp"

namespace shunt::tests::layer_slots_test {
namespace {

TEST(layer_slots, what_is_wrong_is_found_layer_by_layer_then_rank_by_rank) {
  expert_layers const p{.layers = 2, .experts = 3, .loads = {1, 1, 1, 1, 1, 1}};
  std::vector<std::int64_t> const memory{4, 4};
  EXPECT_TRUE(check(p, {.ranks = 2, .slots = {2, 2, 1, 2}}, memory).empty());
  auto const found = check(p, {.ranks = 2, .slots = {4, -1, 1, 1}}, memory);
  ASSERT_EQ(found.size(), 3u);
  EXPECT_EQ(to_string(found[0]), "layer 0, rank 1: found -1, wanted 0");
  EXPECT_EQ(to_string(found[1]), "layer 1, slots: found 2, wanted 3");
  EXPECT_EQ(to_string(found[2]), "rank 0, slots of all layers: found 5, wanted 4");
}

TEST(layer_slots, a_wrong_shape_is_told_alone) {
  expert_layers const p{.layers = 2, .experts = 9, .loads = std::vector<std::int64_t>(18, 1)};
  std::vector<std::int64_t> const memory{4, 4};
  auto const found = check(p, {.ranks = 2, .slots = {1, 1, 1}}, memory);
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(to_string(found[0]), "slots: found 3, wanted 4");
}

}  // namespace
}  // namespace shunt::tests::layer_slots_test
