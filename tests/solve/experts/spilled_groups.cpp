#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <random>
#include <vector>

#include "shunt/check/placement.hpp"
#include "shunt/measure/imbalance.hpp"
#include "shunt/measure/spilled_replicas.hpp"
#include "shunt/solve/experts/spilled_groups.hpp"
#include "support/random_cases.hpp"

namespace shunt::tests::spilled_groups_test {
namespace {

expert_layers random_groups(std::mt19937_64& random, std::int32_t most_layers,
                            std::int32_t most_experts, std::int32_t most_slots) {
  expert_layers p;
  do {
    p = {};
    p.layers = static_cast<std::int32_t>(1 + below(random, most_layers));
    p.experts = static_cast<std::int32_t>(2 + below(random, most_experts - 1));
    p.groups = static_cast<std::int32_t>(1 + below(random, p.experts));
    p.ranks_per_node = static_cast<std::int32_t>(1 + below(random, 3));
    auto const ranks = p.ranks_per_node * (2 + below(random, 2));
    bool const equal = below(random, 2) == 0;
    auto const slots = 1 + below(random, 3);
    for (std::int64_t r = 0; r < ranks; ++r)
      p.slots_per_rank.push_back(static_cast<std::int32_t>(equal ? slots : below(random, 4)));
  } while (p.slots() < p.experts || p.slots() > most_slots);
  for (std::int32_t i = 0; i < p.layers * p.experts; ++i)
    p.loads.push_back(below(random, 4) == 0 ? 500 + below(random, 900) : below(random, 90));
  return p;
}

TEST(spilled_groups, never_worse_than_whole_groups_and_within_the_limit) {
  std::mt19937_64 random(61);
  int better = 0, cases = 0;
  for (int i = 0; i < 400; ++i) {
    auto const p = random_groups(random, 2, 10, 24);
    shunt::balanced const first{.effort = 2000};
    auto const whole = first(p);
    std::int32_t const limit = static_cast<std::int32_t>(below(random, 6));
    spilled_groups const solver{.limit = limit, .first = first};
    auto const answer = solver(p);
    EXPECT_EQ(solver(p), answer);
    EXPECT_EQ(answer.status == shunt::status::infeasible,
              whole.status == shunt::status::infeasible);
    if (!whole.has_plan()) continue;
    EXPECT_TRUE(shunt::check(p, answer.plan).empty());
    for (layer_id l : shunt::ids<layer_id>(p.layers)) {
      double const now = shunt::max_over_mean(p.loads_of(l), answer.plan, l),
                   before = shunt::max_over_mean(p.loads_of(l), whole.plan, l);
      EXPECT_LE(now, before);
      auto const spilled = shunt::spilled_replicas(p, answer.plan, l);
      EXPECT_LE(spilled, limit + shunt::spilled_replicas(p, whole.plan, l));
      better += now < before * (1 - 1e-9);
      ++cases;
    }
    if (limit == 0) {
      EXPECT_EQ(answer, whole);
    }
  }
  EXPECT_GT(better * 4, cases);
}

/// The least max/mean of all placements with at most `limit` spilled replicas, one by one.
double best_of_all(expert_layers const& p, expert_placement plan, std::int32_t limit) {
  auto slots = plan.layer(0);
  std::fill(slots.begin(), slots.end(), expert_id{0});
  double best = 1e300;
  for (;;) {
    if (shunt::check(p, plan).empty() && shunt::spilled_replicas(p, plan, 0) <= limit)
      best = std::min(best, shunt::max_over_mean(p.loads_of(0), plan, 0));
    std::size_t s = 0;
    for (; s < slots.size() && slots[s].value() + 1 == p.experts; ++s) slots[s] = 0;
    if (s == slots.size()) return best;
    slots[s] = slots[s].value() + 1;
  }
}

TEST(spilled_groups, is_at_or_above_the_best_of_all_placements_and_mostly_at_it) {
  std::mt19937_64 random(62);
  int equal = 0, cases = 0;
  while (cases < 100) {
    auto const p = random_groups(random, 1, 4, 6);
    auto const limit = static_cast<std::int32_t>(1 + below(random, 3));
    auto const answer = spilled_groups{.limit = limit}(p);
    if (!answer.has_plan()) continue;
    double const best = best_of_all(
        p, answer.plan, limit + shunt::spilled_replicas(p, shunt::balanced{}(p).plan, 0));
    EXPECT_GE(answer.objective, best - 1e-9);
    equal += answer.objective <= best + 1e-6;
    ++cases;
  }
  EXPECT_GE(equal, 75);  // of 100; changes are made one by one
}

TEST(spilled_groups, by_hand) {
  // group 0 has 90 of 120 tokens; whole groups leave a node with 45 a rank, one replica of expert 0
  // over there leaves 40, 40 and 20, 20
  expert_layers p{.layers = 1,
                  .experts = 4,
                  .loads = {60, 30, 15, 15},
                  .slots_per_rank = {2, 2, 2, 2},
                  .ranks_per_node = 2,
                  .groups = 2};
  auto const whole = shunt::balanced{}(p);
  EXPECT_DOUBLE_EQ(whole.objective, 1.5);
  EXPECT_EQ(shunt::spilled_replicas(p, whole.plan, 0), 0);
  EXPECT_EQ(shunt::group_homes(p, whole.plan, 0), (std::vector<shunt::node_id>{0, 1}));
  auto const one = spilled_groups{.limit = 1}(p), two = spilled_groups{.limit = 2}(p);
  EXPECT_LT(one.objective, 1.5);
  EXPECT_EQ(shunt::spilled_replicas(p, one.plan, 0), 1);
  EXPECT_DOUBLE_EQ(one.objective, best_of_all(p, one.plan, 1));
  EXPECT_DOUBLE_EQ(two.objective, best_of_all(p, two.plan, 2));
  EXPECT_DOUBLE_EQ(two.objective, 1);  // 60 and 30 in quarters and halves: 15 + 15 on each rank
  p.groups = 0;
  EXPECT_EQ(spilled_groups{}(p), shunt::balanced{}(p));
  EXPECT_EQ(shunt::spilled_replicas(p, one.plan, 0), 0);
  p.groups = 2;
  try {
    (void)spilled_groups{.limit = -1}(p);
    ADD_FAILURE();
  } catch (shunt::invalid_problem const& e) {
    EXPECT_EQ(e.field(), "limit");
  }
}

}  // namespace
}  // namespace shunt::tests::spilled_groups_test
