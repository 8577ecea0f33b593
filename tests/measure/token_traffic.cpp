#include <gtest/gtest.h>

#include <cstdint>
#include <random>
#include <vector>

#include "shunt/measure/token_traffic.hpp"
#include "shunt/solve/experts/capacity_split.hpp"
#include "shunt/solve/experts/near_sources.hpp"
#include "support/relabellings.hpp"

namespace shunt::tests::token_traffic_test {
namespace {

TEST(token_traffic, is_that_of_the_local_first_split) {
  std::mt19937_64 random(34);
  for (int i = 0; i < 300; ++i) {
    auto const p = random_layers_with_sources(random, false);
    auto const plan = random_plan(random, p);
    for (layer_id l : shunt::ids<layer_id>(p.layers)) {
      std::vector<std::int64_t> counts;
      for (shunt::rank_id r : shunt::ids<shunt::rank_id>(p.ranks()))
        counts.insert(counts.end(), p.sources_of(l, r).begin(), p.sources_of(l, r).end());
      auto const split = shunt::capacity_split{}(shunt::routed(plan, l, counts)).plan;
      auto const found = shunt::traffic_of(split, plan, p.ranks_per_node);
      EXPECT_EQ(found.local, shunt::local_tokens(p, plan, l));
      std::int64_t total = 0, sent = 0;
      for (auto const load : p.loads_of(l)) total += load;
      EXPECT_EQ(found.local + found.remote(), total);
      EXPECT_LE(found.most_sent, found.remote());
      EXPECT_LE(found.most_received, found.remote());
      for (std::int32_t r = 0; r < p.ranks(); ++r) sent += found.most_sent;
      EXPECT_GE(sent, found.remote());
      auto const one_node = shunt::traffic_of(split, plan, 0),
                 each_alone = shunt::traffic_of(split, plan, 1);
      EXPECT_EQ(one_node.between_nodes, 0);
      EXPECT_EQ(each_alone.within_nodes, 0);
      EXPECT_EQ(one_node.within_nodes, each_alone.between_nodes);
    }
  }
}

TEST(token_traffic, by_hand) {
  // expert 0 on ranks 0 and 1, expert 1 on rank 2; rank 0 routed 6 tokens to 0, rank 2 routed 4 to
  // 0 and 2 to 1
  expert_layers const p{.layers = 1,
                        .experts = 2,
                        .loads = {10, 2},
                        .slots_per_rank = {1, 1, 1},
                        .ranks_per_node = 2,
                        .sources = {6, 0, 0, 0, 4, 2}};
  expert_placement const plan{
      .layers = 1, .experts = 2, .first_slot = {0, 1, 2, 3}, .expert_of = {0, 0, 1}};
  validate(p);
  EXPECT_EQ(shunt::local_tokens(p, plan, 0), 5 + 2);
  auto const split = shunt::capacity_split{}(shunt::routed(plan, 0, p.sources)).plan;
  EXPECT_EQ(
      shunt::traffic_of(split, plan, 2),
      (shunt::token_traffic{
          .local = 7, .within_nodes = 1, .between_nodes = 4, .most_sent = 4, .most_received = 5}));
  // the rows turned around: expert 1 on rank 1, expert 0 on rank 2 as well
  auto const near = shunt::near_sources{}(p, plan);
  EXPECT_EQ(near.plan.expert_of, (std::vector<expert_id>{0, 1, 0}));
  EXPECT_EQ(shunt::local_tokens(p, near.plan, 0), 5 + 4);
}

}  // namespace
}  // namespace shunt::tests::token_traffic_test
