#include "shunt/solve/experts/slot_budget.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <functional>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include "shunt/check/layer_slots.hpp"
#include "shunt/check/placement.hpp"
#include "shunt/measure/imbalance.hpp"
#include "shunt/measure/placement_bounds.hpp"
#include "shunt/solve/experts/balanced.hpp"
#include "shunt/solve/experts/eplb.hpp"
#include "shunt/solve/experts/exact_placement.hpp"
#include "shunt/solve/experts/measured_slot_budget.hpp"

namespace {

using shunt::expert_layers;
using shunt::layer_id;
using shunt::layer_slots;
using shunt::slot_budget;

std::int64_t below(std::mt19937_64& random, std::int64_t bound) {
  return static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(bound));
}

std::string field_of(std::function<void()> const& call) {
  try {
    call();
  } catch (shunt::invalid_problem const& e) {
    return e.field();
  }
  return "nothing thrown";
}

expert_layers random_problem(std::mt19937_64& random, std::int32_t most_layers,
                             std::int32_t most_experts, std::int32_t most_ranks) {
  expert_layers p;
  p.layers = static_cast<std::int32_t>(1 + below(random, most_layers));
  p.experts = static_cast<std::int32_t>(1 + below(random, most_experts));
  auto const ranks = 1 + below(random, most_ranks);
  for (std::int64_t r = 0; r < ranks; ++r)
    p.slots_per_rank.push_back(static_cast<std::int32_t>(below(random, 4)));
  while (p.slots() < p.experts) ++p.slots_per_rank[static_cast<std::size_t>(below(random, ranks))];
  for (std::int32_t l = 0; l < p.layers; ++l) {
    auto const shape = below(random, 4);
    for (std::int32_t e = 0; e < p.experts; ++e)
      p.loads.push_back(shape == 0   ? 0
                        : shape == 1 ? below(random, 20)
                        : shape == 2 ? (below(random, 3) == 0 ? 900 : below(random, 50))
                                     : 7);
  }
  return p;
}

/// max(ceil(W / L), the least of max ceil(w_e / c_e)) over all counts from 1 to L with a sum of at
/// most `slots`, one by one.
std::int64_t bound_of(std::span<std::int64_t const> loads, std::int64_t slots, std::int64_t live) {
  std::vector<std::int64_t> counts(loads.size(), 1);
  std::int64_t best = -1;
  std::int64_t const total = std::accumulate(loads.begin(), loads.end(), std::int64_t{0});
  for (;;) {
    if (std::accumulate(counts.begin(), counts.end(), std::int64_t{0}) <= slots) {
      std::int64_t most = (total + live - 1) / live;
      for (std::size_t e = 0; e < loads.size(); ++e)
        most = std::max(most, (loads[e] + counts[e] - 1) / counts[e]);
      best = best < 0 ? most : std::min(best, most);
    }
    std::size_t e = 0;
    for (; e < counts.size() && counts[e] == live; ++e) counts[e] = 1;
    if (e == counts.size()) return best;
    ++counts[e];
  }
}

TEST(FullestRankBounds, EqualEveryCount) {
  std::mt19937_64 random(51);
  for (int i = 0; i < 200; ++i) {
    std::vector<std::int64_t> loads;
    auto const experts = 1 + below(random, 4), live = 1 + below(random, 4);
    for (std::int64_t e = 0; e < experts; ++e) loads.push_back(below(random, i % 3 == 0 ? 5 : 300));
    auto const most = experts + below(random, 8);
    auto const bounds = shunt::fullest_rank_bounds(loads, most, static_cast<std::int32_t>(live));
    for (std::int64_t slots = experts; slots <= most; ++slots) {
      auto const k = std::min(static_cast<std::size_t>(slots - experts), bounds.size() - 1);
      EXPECT_EQ(bounds[k], bound_of(loads, slots, live)) << "slots " << slots;
    }
    EXPECT_LE(bounds.size(), static_cast<std::size_t>(live) + 1);
  }
}

TEST(SlotBudget, IsTheBestOfAllDealingsByTheBound) {
  std::mt19937_64 random(52);
  for (int i = 0; i < 150; ++i) {
    auto const p = random_problem(random, 3, 3, 4);
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

TEST(SlotBudget, DealsAllMemoryEvenlyOverTheRanks) {
  std::mt19937_64 random(53);
  for (int i = 0; i < 200; ++i) {
    auto p = random_problem(random, 6, 9, 8);
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

/// Tokens of the fullest ranks, summed over layers; every placement is checked.
double tokens(expert_layers const& p, layer_slots const& dealt, auto const& solver) {
  double sum = 0;
  auto const placed = shunt::place_layers(p, dealt, solver);
  for (layer_id l : shunt::ids<layer_id>(p.layers)) {
    auto const& one = placed[l.index()];
    EXPECT_TRUE(one.has_plan());
    EXPECT_TRUE(shunt::check(shunt::layer_of(p, dealt, l), one.plan).empty());
    double most = 0;
    for (double const load : shunt::rank_loads(p.loads_of(l), one.plan, 0))
      most = std::max(most, load);
    sum += most;
  }
  return sum;
}

TEST(SlotBudget, NoPlacementIsBelowTheBound) {
  std::mt19937_64 random(54);
  for (int i = 0; i < 40; ++i) {
    auto const p = random_problem(random, 3, 4, 3);
    auto const answer = slot_budget{}(p);
    // whole tokens round up what an even split leaves as a fraction
    EXPECT_GE(tokens(p, answer.plan, shunt::exact_placement{}) + p.layers, answer.lower_bound);
  }
}

TEST(MeasuredSlotBudget, IsNeverWorseThanAnEvenDealing) {
  std::mt19937_64 random(55);
  int better = 0;
  for (int i = 0; i < 40; ++i) {
    auto p = random_problem(random, 4, 8, 5);
    p.slots_per_rank.assign(p.slots_per_rank.size(),
                            p.experts / static_cast<std::int32_t>(p.slots_per_rank.size()) + 1);
    shunt::balanced const solver{.effort = 2000};
    auto const answer = shunt::measured_slot_budget<>{.solver = solver}(p);
    ASSERT_TRUE(answer.has_plan());
    EXPECT_TRUE(shunt::check(p, answer.plan, slot_budget{}.slots_of_ranks(p)).empty());
    layer_slots even{.ranks = p.ranks()};
    for (std::int32_t l = 0; l < p.layers; ++l)
      even.slots.insert(even.slots.end(), p.slots_per_rank.begin(), p.slots_per_rank.end());
    double const evenly = tokens(p, even, solver),
                 by_bound = tokens(p, slot_budget{}(p).plan, solver);
    EXPECT_DOUBLE_EQ(answer.objective, tokens(p, answer.plan, solver));
    EXPECT_LE(answer.lower_bound, answer.objective);
    EXPECT_LE(answer.objective, evenly * (1 + 1e-12));
    EXPECT_LE(answer.objective, by_bound * (1 + 1e-12));
    better += answer.objective < evenly * (1 - 1e-9);
  }
  EXPECT_GT(better, 10);
}

TEST(MeasuredSlotBudget, BoundsTheEvenSplitNotWholeTokens) {
  expert_layers const p{.layers = 2, .experts = 1, .loads = {0, 7}, .slots_per_rank = {3, 3, 2}};
  auto const answer = shunt::measured_slot_budget<>{}(p);
  EXPECT_DOUBLE_EQ(answer.objective, 7.0 / 3);  // slot_budget, in whole tokens, says 3
  EXPECT_EQ(answer.lower_bound, answer.objective);
  EXPECT_EQ(answer.status, shunt::status::optimal);
}

TEST(SlotBudget, ByHandAndBadInput) {
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
