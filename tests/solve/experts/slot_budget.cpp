#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <random>
#include <vector>

#include "shunt/check/layer_slots.hpp"
#include "shunt/check/placement.hpp"
#include "shunt/solve/experts/eplb.hpp"
#include "shunt/solve/experts/exact_placement.hpp"
#include "shunt/solve/experts/measured_slot_budget.hpp"
#include "shunt/solve/experts/slot_budget.hpp"
#include "support/random_cases.hpp"
#include "support/refusals.hpp"
#include "support/slot_budgets.hpp"

namespace shunt::tests::slot_budget_test {
namespace {

TEST(slot_budget, is_the_best_of_all_dealings_by_the_bound) {
  std::mt19937_64 random(52);
  for (int i = 0; i < 150; ++i) {
    auto const p = random_budget(random, 3, 3, 4);
    auto const memory = slot_budget{}.slots_of_ranks(p);
    auto const all = std::accumulate(memory.begin(), memory.end(), std::int64_t{0});
    auto const live = std::count_if(memory.begin(), memory.end(), [](auto m) { return m > 0; });
    auto const answer = slot_budget{}(p);
    ASSERT_EQ(answer.status, shunt::status::optimal);
    EXPECT_TRUE(shunt::check(p, answer.plan, memory).empty());
    std::int64_t own = 0;
    for (layer_id l : shunt::ids<layer_id>(p.layers))
      own += bound_of(p.loads_of(l), answer.plan.of(l), live);
    EXPECT_EQ(static_cast<double>(own), answer.objective);
    // every S_l from E up, by an odometer
    std::vector<std::int64_t> slots(static_cast<std::size_t>(p.layers), p.experts);
    std::vector<std::vector<std::int64_t>> table(slots.size());
    for (layer_id l : shunt::ids<layer_id>(p.layers))
      for (std::int64_t s = 0; s <= all; ++s)
        table[l.index()].push_back(s < p.experts ? -1 : bound_of(p.loads_of(l), s, live));
    std::int64_t best = -1;
    for (;;) {
      if (std::accumulate(slots.begin(), slots.end(), std::int64_t{0}) <= all) {
        std::int64_t sum = 0;
        for (std::size_t l = 0; l < slots.size(); ++l)
          sum += table[l][static_cast<std::size_t>(slots[l])];
        best = best < 0 ? sum : std::min(best, sum);
      }
      std::size_t l = 0;
      for (; l < slots.size() && slots[l] == all; ++l) slots[l] = p.experts;
      if (l == slots.size()) break;
      ++slots[l];
    }
    EXPECT_EQ(static_cast<double>(best), answer.objective);
  }
}

TEST(slot_budget, deals_all_memory_evenly_over_the_ranks) {
  std::mt19937_64 random(53);
  for (int i = 0; i < 200; ++i) {
    auto p = random_budget(random, 6, 9, 8);
    slot_budget budget;
    if (i % 2 == 0) {
      for (auto const s : p.slots_per_rank)
        budget.memory.push_back(s * p.layers + static_cast<std::int32_t>(below(random, 5)));
    } else {
      p.slots_per_rank.assign(p.slots_per_rank.size(),
                              p.experts / static_cast<std::int32_t>(p.slots_per_rank.size()) + 2);
    }
    auto const memory = budget.slots_of_ranks(p);
    auto const answer = budget(p);
    EXPECT_TRUE(shunt::check(p, answer.plan, memory).empty());
    EXPECT_EQ(budget(p), answer);
    auto const live = std::count_if(memory.begin(), memory.end(), [](auto m) { return m > 0; });
    std::int64_t used = 0;
    for (auto const s : answer.plan.slots) used += s;
    auto const all = std::accumulate(memory.begin(), memory.end(), std::int64_t{0});
    EXPECT_TRUE(used == all || used == p.layers * p.experts * live || live < 2)
        << used << " of " << all;
    if (i % 2 == 1)  // equal ranks: no layer's slots differ by more than one
      for (layer_id l : shunt::ids<layer_id>(p.layers)) {
        auto const row = answer.plan.layer(l);
        EXPECT_LE(*std::max_element(row.begin(), row.end()) -
                      *std::min_element(row.begin(), row.end()),
                  1);
      }
    for (auto const& layer : shunt::place_layers(p, answer.plan, shunt::eplb{}))
      EXPECT_TRUE(layer.has_plan());
  }
}

TEST(slot_budget, no_placement_is_below_the_bound) {
  std::mt19937_64 random(54);
  for (int i = 0; i < 40; ++i) {
    auto const p = random_budget(random, 3, 4, 3);
    auto const answer = slot_budget{}(p);
    // whole fullest_tokens round up what an even split leaves as a fraction
    EXPECT_GE(fullest_tokens(p, answer.plan, shunt::exact_placement{}) + p.layers,
              answer.lower_bound);
  }
}

TEST(slot_budget, by_hand_and_bad_input) {
  // layer 0 needs two replicas of its hot expert, layer 1 none: 8 slots on two ranks are 5 and 3,
  // not 4 and 4
  expert_layers p{
      .layers = 2, .experts = 3, .loads = {60, 1, 1, 10, 10, 10}, .slots_per_rank = {2, 2}};
  auto const answer = slot_budget{}(p);
  EXPECT_EQ(answer.objective, 31 + 15);
  EXPECT_EQ(answer.plan.of(0) + answer.plan.of(1), 8);
  EXPECT_GE(answer.plan.of(0), 4);
  slot_budget budget{.memory = {3, 3}};
  EXPECT_EQ(budget(p).objective, 60 + 15);
  EXPECT_EQ(budget(p).plan.of(0), 3);
  budget.memory = {4, 3};
  EXPECT_EQ(budget(p).plan.of(0), 4);  // the one to spare
  EXPECT_EQ(budget(p).objective, 31 + 15);
  budget.memory = {3, 2};
  EXPECT_EQ(budget(p).status, shunt::status::infeasible);
  EXPECT_EQ(budget(p).reason, "memory: 5 slots for 2 layers x 3 experts");
  EXPECT_EQ(shunt::measured_slot_budget<>{.budget = budget}(p).status, shunt::status::infeasible);
  budget.memory = {3};
  EXPECT_EQ(field_of([&] { (void)budget(p); }), "memory");
  budget.memory = {9, -1};
  EXPECT_EQ(field_of([&] { (void)budget(p); }), "memory[1]");
  EXPECT_EQ(field_of([&] { (void)shunt::measured_slot_budget<>{.reach = -1}(p); }), "reach");
  p.loads[1] = -1;
  EXPECT_EQ(field_of([&] { (void)slot_budget{}(p); }), "loads[0][1]");

  expert_layers const two{
      .layers = 2, .experts = 2, .loads = {1, 1, 1, 1}, .slots_per_rank = {2, 2}};
  std::vector<std::int64_t> const memory{2, 2};
  using kind = shunt::layer_slots_violation::kind;
  auto const kinds = [&](layer_slots const& plan) {
    std::vector<kind> all;
    for (auto const& v : shunt::check(two, plan, memory)) {
      all.push_back(v.what);
      EXPECT_NE(to_string(v), "unknown violation");
    }
    return all;
  };
  EXPECT_EQ(kinds({.ranks = 2, .slots = {1, 1, 1, 1}}), std::vector<kind>{});
  EXPECT_EQ(kinds({.ranks = 2, .slots = {1, 1}}), std::vector<kind>{kind::shape});
  EXPECT_EQ(kinds({.ranks = 2, .slots = {1, 0, 1, 1}}), std::vector<kind>{kind::too_few});
  EXPECT_EQ(kinds({.ranks = 2, .slots = {2, 0, 1, 1}}), std::vector<kind>{kind::over_memory});
  EXPECT_EQ(kinds({.ranks = 2, .slots = {3, -1, 0, 2}}),
            (std::vector<kind>{kind::negative, kind::over_memory}));
}

}  // namespace
}  // namespace shunt::tests::slot_budget_test
