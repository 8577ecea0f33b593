#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <random>

#include "shunt/check/placement.hpp"
#include "shunt/measure/imbalance.hpp"
#include "shunt/measure/moved_experts.hpp"
#include "shunt/solve/experts/eplb.hpp"
#include "shunt/solve/experts/keep_ranks.hpp"
#include "support/relabellings.hpp"

namespace shunt::tests::keep_ranks_test {
namespace {

TEST(keep_ranks, moves_are_the_fewest_of_all_dealings) {
  std::mt19937_64 random(32);
  int fewer = 0;
  for (int i = 0; i < 300; ++i) {
    auto p = random_layers_with_sources(random, false);
    p.previous = random_plan(random, p).expert_of;
    auto const plan = random_plan(random, p);
    auto const kept = shunt::keep_ranks{}(p, plan);
    EXPECT_TRUE(shunt::check(p, kept.plan).empty());
    EXPECT_DOUBLE_EQ(kept.objective, shunt::mean_max_over_mean(p, plan));
    for (layer_id l : shunt::ids<layer_id>(p.layers)) {
      auto const before = sorted_loads(p, plan, l), after = sorted_loads(p, kept.plan, l);
      for (std::size_t r = 0; r < before.size(); ++r)
        EXPECT_NEAR(before[r], after[r], 1e-9 * (1 + before[r]));
      std::int32_t fewest = shunt::moved_experts(p.previous_of(l), plan, l);
      auto const unkept = fewest;
      every_dealing(p, [&](auto const& row) {
        fewest = std::min(fewest, shunt::moved_experts(p.previous_of(l), dealt(plan, l, row), l));
      });
      EXPECT_EQ(shunt::moved_experts(p.previous_of(l), kept.plan, l), fewest);
      fewer += fewest < unkept;
      // what stays on a rank keeps its slot: a rank's slot changes only where the old expert has no
      // replica left for it
      for (std::size_t r = 0; r < p.slots_per_rank.size(); ++r)
        for (auto s = plan.first_slot[r]; s < plan.first_slot[r + 1]; ++s) {
          auto const old = p.previous_of(l)[static_cast<std::size_t>(s)];
          if (kept.plan.layer(l)[static_cast<std::size_t>(s)] == old) continue;
          int here = 0, in_place = 0;
          for (auto t = plan.first_slot[r]; t < plan.first_slot[r + 1]; ++t) {
            bool const holds = kept.plan.layer(l)[static_cast<std::size_t>(t)] == old;
            here += holds;
            in_place += holds && p.previous_of(l)[static_cast<std::size_t>(t)] == old;
          }
          EXPECT_EQ(here, in_place);
        }
    }
    EXPECT_EQ(shunt::keep_ranks{}(p, kept.plan).plan, kept.plan);
    p.previous = kept.plan.expert_of;
    EXPECT_EQ(shunt::keep_ranks{}(p, kept.plan).plan, kept.plan);
  }
  EXPECT_GT(fewer, 150);
}

TEST(keep_ranks, composes_with_a_solver) {
  // the same loads with the ranks' rows turned around: nothing needs to move
  expert_layers p{.layers = 1, .experts = 4, .loads = {70, 20, 6, 4}, .slots_per_rank = {2, 2, 2}};
  auto const fresh = shunt::eplb{}(p).plan;
  p.previous = dealt(fresh, 0, {2, 0, 1}).expert_of;
  EXPECT_GT(shunt::moved_experts(p.previous, fresh, 0), 0);
  auto const again = (shunt::eplb{} | shunt::keep_ranks{})(p);
  EXPECT_EQ(shunt::moved_experts(p.previous, again.plan, 0), 0);
  EXPECT_EQ(again.plan.expert_of, p.previous);
  EXPECT_EQ((decltype(shunt::eplb{} | shunt::keep_ranks{})::name), "eplb | keep_ranks");
  p.previous.clear();
  EXPECT_EQ((shunt::eplb{} | shunt::keep_ranks{})(p).plan, fresh);
  p.slots_per_rank = {1, 1, 1};
  EXPECT_EQ((shunt::eplb{} | shunt::keep_ranks{})(p).status, shunt::status::infeasible);
}

}  // namespace
}  // namespace shunt::tests::keep_ranks_test
