#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <random>
#include <tuple>
#include <vector>

#include "shunt/check/expert_moves.hpp"
#include "shunt/measure/moved_experts.hpp"
#include "shunt/measure/required_moves.hpp"
#include "shunt/plan/expert_moves.hpp"
#include "shunt/solve/experts/eplb.hpp"
#include "support/lost_experts.hpp"

namespace shunt::tests::expert_moves_test {
namespace {

using places = std::vector<std::tuple<int, int, int>>;  // expert, to, from

places of(expert_layers const& p, expert_placement const& plan) {
  places all;
  for (auto const& m : shunt::expert_moves_of(p, plan))
    all.emplace_back(m.expert.value(), m.to.value(), m.from.value());
  return all;
}

TEST(expert_moves, own_rank_then_own_node_then_the_one_that_sends_least) {
  expert_layers p{.experts = 3,
                  .loads = {1, 1, 1},
                  .slots_per_rank = {2, 2, 2, 2},
                  .ranks_per_node = 2,
                  .previous = {0, 1, 2, -1, 0, 2, 0, 0}};
  expert_placement plan{.layers = 1,
                        .experts = 3,
                        .first_slot = {0, 2, 4, 6, 8},
                        .expert_of = {1, 0, 2, 0, 1, 1, 2, 2}};
  // rank 0 turns its slots; rank 1 gets 0 from its node; rank 2 gets 1 once, from the other node,
  // and copies it; rank 3 gets 2 from its node, and copies it
  EXPECT_EQ(of(p, plan),
            (places{{1, 0, 1}, {0, 1, 0}, {0, 3, 0}, {1, 4, 1}, {1, 5, 4}, {2, 6, 5}, {2, 7, 6}}));
  p.ranks_per_node = 0;  // rank 1 sends what comes after rank 0's first; nothing has expert 2
  p.previous = {0, 1, 0, 1, -1, -1, -1, -1};
  plan.expert_of = {0, 1, 0, 1, 0, 1, 0, 2};
  EXPECT_EQ(of(p, plan), (places{{0, 4, 0}, {1, 5, 3}, {0, 6, 0}, {2, 7, -1}}));
  p.previous.clear();
  EXPECT_TRUE(of(p, plan).empty());
}

TEST(expert_moves, are_sound_and_as_many_as_counted) {
  std::mt19937_64 random(72);
  std::int64_t outside = 0;
  for (int i = 0; i < 400; ++i) {
    auto p = random_loss(random, 8, 5, 4);
    if (i % 2 == 0) p.ranks_per_node = static_cast<std::int32_t>(1 + below(random, 3));
    auto const plan = shunt::eplb{}(p).plan;
    auto const moves = shunt::expert_moves_of(p, plan);
    EXPECT_EQ(shunt::check(p, plan, moves), std::vector<move_violation>{});
    std::int64_t counted = 0, fetched = 0;
    for (layer_id l : shunt::ids<layer_id>(p.layers)) {
      counted += shunt::moved_experts(p.previous_of(l), plan, l);
      auto const lost = shunt::lost_experts(p, l);
      for (auto const& m : moves)
        fetched += m.layer == l && std::find(lost.begin(), lost.end(), m.expert) != lost.end() &&
                   m.sender != m.receiver;
    }
    EXPECT_EQ(std::count_if(moves.begin(), moves.end(),
                            [](auto const& m) { return m.sender != m.receiver; }),
              counted);
    EXPECT_EQ(
        std::count_if(moves.begin(), moves.end(), [](auto const& m) { return m.is_outside(); }),
        fetched);
    outside += fetched;
  }
  EXPECT_GT(outside, 100);
}

}  // namespace
}  // namespace shunt::tests::expert_moves_test
