#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <random>
#include <set>
#include <vector>

#include "shunt/measure/required_moves.hpp"
#include "support/lost_experts.hpp"

namespace shunt::tests::required_moves_test {
namespace {

TEST(required_moves, lost_experts_and_empty_slots) {
  expert_layers p{.experts = 4,
                  .loads = {1, 1, 1, 1},
                  .slots_per_rank = {2, 2, 2},
                  .previous = {0, 1, 0, 0, 1, 1}};
  EXPECT_EQ(shunt::lost_experts(p, 0), (std::vector<expert_id>{2, 3}));
  EXPECT_EQ(shunt::required_moves(p, 0), 2);
  p.previous = {0, 1, 2, 3, -1, -1};
  EXPECT_TRUE(shunt::lost_experts(p, 0).empty());
  EXPECT_EQ(shunt::required_moves(p, 0), 2);
  p.previous = {0, 1, 2, -1, -1, -1};  // expert 3 takes one of the empty slots
  EXPECT_EQ(shunt::required_moves(p, 0), 3);
  expert_layers const few{
      .experts = 2, .loads = {1, 1}, .slots_per_rank = {4, 1}, .previous = {0, -1, -1, -1, 1}};
  EXPECT_EQ(shunt::required_moves(few, 0), 1);  // rank 0 lacks expert 1 alone
}

/// No placement of all has fewer moves.
TEST(required_moves, are_the_fewest_of_all_placements) {
  std::mt19937_64 random(73);
  int with_lost = 0, with_empty = 0;
  for (int i = 0; i < 120; ++i) {
    auto p = random_loss(random, 4, 4, 3);
    if (p.slots() > 6) continue;
    for (layer_id l : shunt::ids<layer_id>(p.layers)) {
      auto const before = p.previous_of(l);
      auto const had = pairs_of(before, p.slots_per_rank);
      auto fewest = std::numeric_limits<std::int32_t>::max();
      every_content(p, [&](std::vector<expert_id> const& slots) {
        if (std::set<expert_id>(slots.begin(), slots.end()).size() <
            static_cast<std::size_t>(p.experts))
          return;
        std::vector<std::int32_t> fresh(p.slots_per_rank.size(), 0);
        std::int32_t moves = 0;
        for (auto const& [r, e] : pairs_of(slots, p.slots_per_rank))
          if (!had.contains({r, e})) ++fresh[static_cast<std::size_t>(r)], ++moves;
        std::size_t s = 0;
        for (std::size_t r = 0; r < fresh.size(); ++r) {
          std::int32_t empty = 0, lacking = p.experts;
          for (std::int32_t k = 0; k < p.slots_per_rank[r]; ++k) empty += before[s++].value() == -1;
          for (std::int32_t e = 0; e < p.experts; ++e)
            lacking -= had.contains({static_cast<std::int32_t>(r), e});
          if (fresh[r] < std::min(empty, lacking)) return;
        }
        fewest = std::min(fewest, moves);
      });
      EXPECT_EQ(shunt::required_moves(p, l), fewest);
      with_lost += !shunt::lost_experts(p, l).empty();
      with_empty += std::count(before.begin(), before.end(), expert_id{-1}) > 0;
    }
  }
  EXPECT_GT(with_lost, 20);
  EXPECT_GT(with_empty, 20);
}

}  // namespace
}  // namespace shunt::tests::required_moves_test
