#include <gtest/gtest.h>

#include <cstdint>
#include <random>
#include <vector>

#include "shunt/check/program.hpp"
#include "shunt/check/token_split.hpp"
#include "shunt/lower/rank_scatter.hpp"
#include "shunt/lower/weight_scatter.hpp"
#include "shunt/solve/shards/cut_shards.hpp"
#include "support/random_cases.hpp"
#include "support/refusals.hpp"
#include "support/routed_iterations.hpp"

namespace shunt::tests::rank_scatter_test {
namespace {

TEST(rank_scatter, lists_of_all_ranks_are_the_weight_scatter) {
  std::mt19937_64 random(31);
  for (int i = 0; i < 300; ++i) {
    optimizer_state const state{.experts = static_cast<std::int32_t>(1 + below(random, 6)),
                                .ranks = static_cast<std::int32_t>(1 + below(random, 6)),
                                .elements = 1 + below(random, 20),
                                .weight_bytes = static_cast<std::int32_t>(1 + below(random, 8))};
    auto const slots = random_ranks(random, state.ranks, state.experts);
    auto const layers = static_cast<std::int32_t>(1 + below(random, 3));
    auto const map = random_shards(random, state);
    shunt::weight_scatter const how{.deduplicate = below(random, 3) > 0,
                                    .channel = static_cast<std::int32_t>(below(random, 3)),
                                    .batch = static_cast<std::int32_t>(below(random, 3))};
    auto const shape = random_placement_in_order_or_none(random, layers, state.experts, slots);
    std::vector<shunt::rank_scatter> ranks;
    for (rank_id r : shunt::ids<rank_id>(state.ranks))
      ranks.emplace_back(state, map, shape.first_slot, layers, r, how);
    for (int iteration = 0; iteration < 3;
         ++iteration) {  // the second list is written over the first
      auto const next = random_placement_in_order_or_none(random, layers, state.experts, slots);
      auto const wanted = lower(state, next, map, how);
      shunt::program together;
      for (auto& r : ranks) together.ranks.push_back(r(next));
      ASSERT_EQ(together, wanted) << "case " << i;
      ASSERT_TRUE(shunt::check(together).empty()) << "case " << i;
    }
  }
}

TEST(rank_scatter, refuses_what_does_not_fit) {
  optimizer_state const state{.experts = 2, .ranks = 2, .elements = 4};
  auto const map = shunt::uniform_shards{}(state).plan;
  std::vector<std::int32_t> const first_slot{0, 1, 3};
  auto const made = [&](rank_id self, std::int32_t layers, std::vector<std::int32_t> const& slots) {
    return thrown_by([&] { shunt::rank_scatter(state, map, slots, layers, self); });
  };
  EXPECT_EQ(made(0, 1, first_slot), "nothing thrown");
  EXPECT_EQ(made(2, 1, first_slot), "self: must be below 2, is 2");
  EXPECT_EQ(made(0, 0, first_slot), "layer: must be below 0, is 0");
  EXPECT_EQ(made(0, 1, {0, 1}), "placement.ranks: must be the optimizer state's 2, is 1");
  shunt::rank_scatter scatter(state, map, first_slot, 1, 1);
  expert_placement next{.layers = 1, .experts = 2, .first_slot = {0, 2, 3}, .expert_of = {0, 1, 1}};
  EXPECT_EQ(thrown_by([&] { scatter(next); }),
            "placement: isn't of the shape that this list was made for");
  next.first_slot = first_slot;
  EXPECT_EQ(scatter(next).buffers.size(), 2u);
}

}  // namespace
}  // namespace shunt::tests::rank_scatter_test
