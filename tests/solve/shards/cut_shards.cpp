#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include "shunt/check/program.hpp"
#include "shunt/check/shard_map.hpp"
#include "shunt/solve/shards/cut_shards.hpp"
#include "support/random_cases.hpp"
#include "support/shards.hpp"
#include "support/text.hpp"

namespace shunt::tests::cut_shards_test {
namespace {

TEST(cut_shards, of_every_solver_are_valid_and_above_their_bound) {
  random_cases d(1);
  for (int round = 0; round < 300; ++round) {
    auto const state = random_state(d);
    mirrored_shards const mirrored{.copies = d.roll(1, state.ranks)};
    for (auto const& answer :
         {mirrored(state), hierarchical_shards{.ranks_per_node = d.roll(1, 4)}(state),
          replica_shards{.placement = random_placement(d, state)}(state)}) {
      EXPECT_EQ(lines(check(state, answer.plan)), "");
      auto const on = held_by_rank(answer.plan, state.ranks);
      EXPECT_EQ(answer.objective,
                static_cast<double>(*std::max_element(on.begin(), on.end()) * state.state_bytes));
      EXPECT_GE(answer.objective, answer.lower_bound);
      EXPECT_EQ(answer.status == status::optimal, answer.objective == answer.lower_bound);
    }
    auto const on = held_by_rank(mirrored(state).plan, state.ranks);
    EXPECT_EQ(std::accumulate(on.begin(), on.end(), std::int64_t{0}),
              mirrored.copies * state.elements * state.experts);
  }
}

TEST(cut_shards, of_a_node_stay_on_it) {
  optimizer_state const state{.experts = 6, .ranks = 8, .elements = 12};
  auto const answer = hierarchical_shards{.ranks_per_node = 4}(state);
  EXPECT_EQ(answer.status, status::optimal);  // three experts a node, three elements of each a rank
  for (expert_id e : ids<expert_id>(6)) {
    ASSERT_EQ(answer.plan.shards[e].size(), 4u);
    for (shard const& s : answer.plan.shards[e]) EXPECT_EQ(s.owner.value() / 4, e.value() % 2);
  }
}

TEST(cut_shards, of_replicas_follow_the_hosts) {
  optimizer_state const state{.experts = 2, .ranks = 3, .elements = 7};
  expert_placement const placement{
      .layers = 1, .experts = 2, .first_slot = {0, 1, 2, 3}, .expert_of = {0, 0, 1}};
  auto const plan = replica_shards{.placement = placement}(state).plan;
  EXPECT_EQ(plan.shards[0], (std::vector<shard>{{.owner = 0, .begin = 0, .end = 4},
                                                {.owner = 1, .begin = 4, .end = 7}}));
  EXPECT_EQ(plan.shards[1], (std::vector<shard>{{.owner = 2, .begin = 0, .end = 7}}));
  EXPECT_THROW(
      (void)replica_shards{.placement = placement}({.experts = 2, .ranks = 4, .elements = 7}),
      invalid_problem);
}

TEST(cut_shards, need_as_many_ranks_as_copies) {
  auto const answer = mirrored_shards{.copies = 4}({.experts = 1, .ranks = 3, .elements = 9});
  EXPECT_EQ(answer.status, status::infeasible);
  EXPECT_EQ(std::string(answer.reason), "4 copies need as many ranks, there are 3");
  EXPECT_THROW((void)mirrored_shards{.copies = 0}({}), invalid_problem);
}

TEST(cut_shards, uniform_shards_cover_every_expert_and_balance_the_ranks) {
  std::mt19937_64 random(3);
  for (int i = 0; i < 2000; ++i) {
    optimizer_state const p{.experts = static_cast<std::int32_t>(1 + below(random, 10)),
                            .ranks = static_cast<std::int32_t>(1 + below(random, 12)),
                            .elements = 1 + below(random, 60)};
    auto const answer = shunt::solve(p, shunt::uniform_shards{});
    ASSERT_EQ(shunt::check(p, answer.plan), std::vector<shunt::shard_violation>{});
    std::vector<std::int64_t> owned(static_cast<std::size_t>(p.ranks), 0);
    for (auto const& shards : answer.plan.shards) {
      EXPECT_EQ(static_cast<std::int64_t>(shards.size()),
                std::min<std::int64_t>(p.ranks, p.elements));
      for (auto const& s : shards) {
        owned[s.owner.index()] += s.size();
        EXPECT_LE(s.size(), p.elements / p.ranks + 1);
      }
      EXPECT_TRUE(std::is_sorted(shards.begin(), shards.end(),
                                 [](shard const& a, shard const& b) { return a.owner < b.owner; }));
    }
    auto const most = *std::max_element(owned.begin(), owned.end());
    EXPECT_LE(most - *std::min_element(owned.begin(), owned.end()), 1);
    EXPECT_EQ(answer.objective, static_cast<double>(most * p.state_bytes));
    EXPECT_EQ(answer.lower_bound, answer.objective);
    EXPECT_EQ(answer.status, shunt::status::optimal);
  }
}

// An expert of 3 x 7168 x 2048 bf16 weights, over all ranks and over those left after a loss.
TEST(cut_shards, of_large_experts_begin_at_multiples_of_16_bytes) {
  for (std::int32_t const bytes : {1, 2, 4, 6, 16})
    for (std::int32_t const ranks : {15, 16, 7}) {
      std::int64_t const elements = std::int64_t{3} * 7168 * 2048 + (ranks == 7 ? 5 : 0);
      optimizer_state const state{
          .experts = 4, .ranks = ranks, .elements = elements, .weight_bytes = bytes};
      auto const uniform = uniform_shards{}(state), mirrored = mirrored_shards{}(state);
      EXPECT_LE(uniform.objective, 1.00001 * uniform.lower_bound);
      EXPECT_LE(mirrored.objective, 1.00001 * mirrored.lower_bound);
      for (auto const& plan :
           {uniform.plan, mirrored.plan, hierarchical_shards{.ranks_per_node = 5}(state).plan}) {
        EXPECT_EQ(lines(check(state, plan)), "");
        for (auto const& shards : plan.shards)
          for (shard const& s : shards) EXPECT_EQ(s.begin * bytes % 16, 0);
      }
    }
}

TEST(cut_shards, shard_k_lies_on_rank_k_where_sizes_divide) {
  auto const plan = shunt::uniform_shards{}({.experts = 2, .ranks = 3, .elements = 6}).plan;
  std::vector<shard> const cut{{0, 0, 2}, {1, 2, 4}, {2, 4, 6}};
  EXPECT_EQ(plan.shards[0], cut);
  EXPECT_EQ(plan.shards[1], cut);
  auto const uneven = shunt::uniform_shards{}({.experts = 2, .ranks = 3, .elements = 4}).plan;
  EXPECT_EQ(uneven.shards[0], (std::vector<shard>{{0, 0, 2}, {1, 2, 3}, {2, 3, 4}}));
  EXPECT_EQ(uneven.shards[1], (std::vector<shard>{{0, 0, 1}, {1, 1, 3}, {2, 3, 4}}));
}

}  // namespace
}  // namespace shunt::tests::cut_shards_test
