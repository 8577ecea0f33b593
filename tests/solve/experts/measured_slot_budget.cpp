#include <gtest/gtest.h>

#include <cstdint>
#include <random>

#include "shunt/check/layer_slots.hpp"
#include "shunt/check/placement.hpp"
#include "shunt/solve/experts/balanced.hpp"
#include "shunt/solve/experts/measured_slot_budget.hpp"
#include "shunt/solve/experts/slot_budget.hpp"
#include "support/slot_budgets.hpp"

namespace shunt::tests::measured_slot_budget_test {
namespace {

TEST(measured_slot_budget, is_never_worse_than_an_even_dealing) {
  std::mt19937_64 random(55);
  int better = 0;
  for (int i = 0; i < 40; ++i) {
    auto p = random_budget(random, 4, 8, 5);
    p.slots_per_rank.assign(p.slots_per_rank.size(),
                            p.experts / static_cast<std::int32_t>(p.slots_per_rank.size()) + 1);
    shunt::balanced const solver{.effort = 2000};
    auto const answer = shunt::measured_slot_budget<>{.solver = solver}(p);
    ASSERT_TRUE(answer.has_plan());
    EXPECT_TRUE(shunt::check(p, answer.plan, slot_budget{}.slots_of_ranks(p)).empty());
    layer_slots even{.ranks = p.ranks()};
    for (std::int32_t l = 0; l < p.layers; ++l)
      even.slots.insert(even.slots.end(), p.slots_per_rank.begin(), p.slots_per_rank.end());
    double const evenly = fullest_tokens(p, even, solver),
                 by_bound = fullest_tokens(p, slot_budget{}(p).plan, solver);
    EXPECT_DOUBLE_EQ(answer.objective, fullest_tokens(p, answer.plan, solver));
    EXPECT_LE(answer.lower_bound, answer.objective);
    EXPECT_LE(answer.objective, evenly * (1 + 1e-12));
    EXPECT_LE(answer.objective, by_bound * (1 + 1e-12));
    better += answer.objective < evenly * (1 - 1e-9);
  }
  EXPECT_GT(better, 10);
}

TEST(measured_slot_budget, bounds_the_even_split_not_whole_tokens) {
  expert_layers const p{.layers = 2, .experts = 1, .loads = {0, 7}, .slots_per_rank = {3, 3, 2}};
  auto const answer = shunt::measured_slot_budget<>{}(p);
  EXPECT_DOUBLE_EQ(answer.objective, 7.0 / 3);  // slot_budget, in whole fullest_tokens, says 3
  EXPECT_EQ(answer.lower_bound, answer.objective);
  EXPECT_EQ(answer.status, shunt::status::optimal);
}

}  // namespace
}  // namespace shunt::tests::measured_slot_budget_test
