#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <random>
#include <vector>

#include "shunt/check/placement.hpp"
#include "shunt/check/token_quotas.hpp"
#include "shunt/measure/imbalance.hpp"
#include "shunt/measure/moved_experts.hpp"
#include "shunt/measure/spilled_replicas.hpp"
#include "shunt/solve/experts/balanced.hpp"
#include "shunt/solve/experts/eplb.hpp"
#include "shunt/solve/experts/incremental.hpp"
#include "shunt/solve/experts/keep_ranks.hpp"
#include "shunt/solve/experts/lazarus.hpp"
#include "support/expert_problems.hpp"
#include "support/random_cases.hpp"
#include "support/refusals.hpp"

namespace shunt::tests::incremental_test {
namespace {

/// A layer or two with a previous placement made for other loads, and perhaps a history.
expert_layers random_migration(std::mt19937_64& random, std::int32_t most_experts,
                               std::int32_t most_ranks) {
  expert_layers p;
  p.layers = static_cast<std::int32_t>(1 + below(random, 2));
  p.experts = static_cast<std::int32_t>(2 + below(random, most_experts - 1));
  auto const ranks = 2 + below(random, most_ranks - 1);
  bool const equal = below(random, 2) == 0;
  auto const slots = 1 + below(random, 3);
  for (std::int64_t r = 0; r < ranks; ++r)
    p.slots_per_rank.push_back(static_cast<std::int32_t>(equal ? slots : below(random, 4)));
  while (p.slots() < p.experts) ++p.slots_per_rank[static_cast<std::size_t>(below(random, ranks))];
  auto const cells = p.layers * p.experts;
  for (std::int32_t i = 0; i < cells; ++i)
    p.loads.push_back(below(random, 4) == 0 ? 900 + below(random, 900) : below(random, 100));
  auto old = p;
  for (auto& load : old.loads) load = below(random, 500);
  p.previous = shunt::eplb{}(old).plan.expert_of;
  for (std::int64_t k = below(random, 3) * cells; k > 0; --k)
    p.history.push_back(below(random, 1000));
  return p;
}

/// The mean of max/mean over the current window and the last ones of the history.
double score(expert_layers const& p, shunt::expert_placement const& plan, layer_id l,
             std::int32_t windows) {
  std::int32_t const scored = std::min(windows, p.windows() + 1);
  double sum = shunt::max_over_mean(p.loads_of(l), plan, l);
  for (std::int32_t w = 1; w < scored; ++w)
    sum += shunt::max_over_mean(p.loads_of(l, p.windows() - w), plan, l);
  return sum / scored;
}

TEST(incremental, a_fresh_start_is_never_worse_and_keeps_the_budget) {
  std::mt19937_64 random(41);
  int better = 0, cases = 0;
  for (int i = 0; i < 250; ++i) {
    auto const p = random_migration(random, 9, 6);
    std::int32_t const budget = static_cast<std::int32_t>(below(random, 12)),
                       windows = static_cast<std::int32_t>(1 + below(random, 3));
    incremental const small{
        .moves = budget, .windows = windows, .fresh_from = 1000, .first = {.effort = 5000}};
    incremental const both{
        .moves = budget, .windows = windows, .fresh_from = 0, .first = {.effort = 5000}};
    auto const a = small(p), b = both(p);
    ASSERT_TRUE(a.has_plan() && b.has_plan());
    EXPECT_EQ(both(p), b);
    EXPECT_TRUE(shunt::check(p, a.plan).empty() && shunt::check(p, b.plan).empty());
    auto still = a.plan;
    still.expert_of = p.previous;
    for (layer_id l : shunt::ids<layer_id>(p.layers)) {
      EXPECT_LE(shunt::moved_experts(p.previous_of(l), a.plan, l), budget);
      EXPECT_LE(shunt::moved_experts(p.previous_of(l), b.plan, l), budget);
      double const one = score(p, a.plan, l, windows), two = score(p, b.plan, l, windows);
      EXPECT_LE(two, one + 1e-6);  // loads are scaled to 31 bits
      EXPECT_LE(one, score(p, still, l, windows) + 1e-6);
      better += two < one - 1e-6;
      ++cases;
    }
  }
  EXPECT_GT(better * 20, cases);  // in more than one of 20 it pays
}

TEST(incremental, an_unlimited_budget_is_as_good_as_a_fresh_solution) {
  std::mt19937_64 random(42);
  for (int i = 0; i < 100; ++i) {
    auto p = random_migration(random, 9, 6);
    p.history.clear();
    shunt::balanced const first{.effort = 5000, .repeats = false};
    auto const free = incremental{.moves = p.slots(), .fresh_from = 0, .first = first}(p);
    EXPECT_LE(free.objective, first(p).objective + 1e-6);
    auto const kept = (first | shunt::keep_ranks{})(p);
    std::int32_t needed = 0;
    for (layer_id l : shunt::ids<layer_id>(p.layers))
      needed = std::max(needed, shunt::moved_experts(p.previous_of(l), kept.plan, l));
    EXPECT_LE((incremental{.moves = needed, .fresh_from = 0, .first = first}(p).objective),
              kept.objective + 1e-6);
  }
}

/// The least max/mean of all placements within the budget, one by one.
double best_within(expert_layers const& p, std::int32_t budget) {
  auto plan = shunt::eplb{}(p).plan;
  auto slots = plan.layer(0);
  std::fill(slots.begin(), slots.end(), expert_id{0});
  double best = 1e300;
  for (;;) {
    if (shunt::check(p, plan).empty() && shunt::moved_experts(p.previous_of(0), plan, 0) <= budget)
      best = std::min(best, shunt::max_over_mean(p.loads_of(0), plan, 0));
    std::size_t s = 0;
    for (; s < slots.size() && slots[s].value() + 1 == p.experts; ++s) slots[s] = 0;
    if (s == slots.size()) return best;
    slots[s] = slots[s].value() + 1;
  }
}

TEST(incremental, is_at_or_above_the_best_of_all_placements_and_mostly_at_it) {
  std::mt19937_64 random(43);
  int equal = 0, cases = 0;
  while (cases < 60) {
    auto p = random_migration(random, 4, 3);
    if (p.slots() > 6) continue;
    p.layers = 1;
    p.loads.resize(static_cast<std::size_t>(p.experts));
    p.previous.resize(static_cast<std::size_t>(p.slots()));
    p.history.clear();
    auto const budget = static_cast<std::int32_t>(below(random, 4));
    double const best = best_within(p, budget),
                 found = incremental{.moves = budget, .fresh_from = 0}(p).objective;
    EXPECT_GE(found, best - 1e-9);
    equal += found <= best + 1e-6;
    ++cases;
  }
  EXPECT_GE(equal, 45);  // of 60; changes are made one by one
}

TEST(incremental, groups_stay_together) {
  std::mt19937_64 random(44);
  int moved = 0;
  for (int i = 0; i < 100; ++i) {
    auto p = random_migration(random, 9, 6);
    p.ranks_per_node = static_cast<std::int32_t>(1 + below(random, 3));
    p.groups = static_cast<std::int32_t>(1 + below(random, p.experts));
    auto old = p;
    old.previous.clear();
    old.history.clear();
    for (auto& load : old.loads) load = below(random, 500);
    auto const packed = shunt::eplb{.keep_groups = true}(old);
    if (!packed.has_plan()) continue;
    p.previous = packed.plan.expert_of;
    for (std::int32_t const fresh_from : {0, 1000}) {
      auto const budget = static_cast<std::int32_t>(below(random, 12));
      auto const answer = incremental{
          .moves = budget, .windows = 2, .fresh_from = fresh_from, .first = {.effort = 5000}}(p);
      ASSERT_TRUE(answer.has_plan());
      EXPECT_TRUE(shunt::check(p, answer.plan).empty());
      for (layer_id l : shunt::ids<layer_id>(p.layers)) {
        auto const now = shunt::moved_experts(p.previous_of(l), answer.plan, l);
        EXPECT_LE(now, budget);
        moved += now;
        EXPECT_LE(shunt::spilled_replicas(p, answer.plan, l),
                  shunt::spilled_replicas(p, packed.plan, l));
      }
    }
    p.previous.clear();
    shunt::balanced const first{.effort = 5000};
    auto const start = incremental{.first = first}(p), whole = first(p);
    EXPECT_EQ(start.has_plan(), whole.has_plan());
    if (!whole.has_plan()) continue;
    for (layer_id l : shunt::ids<layer_id>(p.layers)) {
      EXPECT_LE(shunt::spilled_replicas(p, start.plan, l),
                shunt::spilled_replicas(p, whole.plan, l));
    }
  }
  EXPECT_GT(moved, 50);
}

TEST(incremental, a_bad_setting_is_named) {
  expert_layers const p{.layers = 1,
                        .experts = 3,
                        .loads = {60, 20, 20},
                        .slots_per_rank = {1, 1, 2},
                        .previous = {0, 1, 2, 0}};
  EXPECT_EQ(field_of([&] { (void)incremental{.fresh_from = -1}(p); }), "fresh_from");
}

// ---- incremental ----

TEST(incremental, keeps_its_budget_and_never_gets_worse) {
  std::mt19937_64 random(20);
  int changed = 0;
  for (int i = 0; i < 150; ++i) {
    expert_layers p{.layers = 2, .experts = 8, .loads = {}, .slots_per_rank = {3, 3, 2, 3, 0, 3}};
    auto const draw = [&] {
      std::vector<std::int64_t> rows;
      for (int k = 0; k < 16; ++k) rows.push_back(50 + below(random, 1000));
      return rows;
    };
    p.loads = draw();
    p.previous = shunt::balanced{.effort = 1000, .repeats = false}(p).plan.expert_of;
    auto const before = p.previous;
    p.loads = draw();
    std::int32_t const moves = static_cast<std::int32_t>(below(random, 5));
    shunt::incremental const solver{.moves = moves, .windows = 1, .price = 0};
    auto const answer = solver(p);
    ASSERT_TRUE(shunt::check(p, answer.plan).empty());
    EXPECT_EQ(answer, solver(p));
    EXPECT_EQ(repeats(answer.plan), 0);
    auto kept = answer.plan;
    kept.expert_of = before;
    EXPECT_LE(answer.objective, shunt::mean_max_over_mean(p, kept) * (1 + 1e-6));
    for (layer_id l : shunt::ids<layer_id>(2)) {
      EXPECT_LE(shunt::moved_experts(p.previous_of(l), answer.plan, l), moves);
      changed += shunt::moved_experts(p.previous_of(l), answer.plan, l) > 0;
    }
    if (moves == 0) {
      EXPECT_EQ(answer.plan.expert_of, before);
    }
  }
  EXPECT_GT(changed, 50);
}

TEST(incremental, finds_the_one_move_that_is_needed) {
  // expert 0 doubled: a second replica of it in place of one of expert 2's
  expert_layers const p{
      .experts = 3, .loads = {20, 10, 10}, .slots_per_rank = {2, 2}, .previous = {0, 2, 1, 2}};
  auto const answer = shunt::incremental{.moves = 1}(p);
  EXPECT_EQ(answer.plan.expert_of, (std::vector<expert_id>{0, 2, 1, 0}));
  EXPECT_EQ(answer.status, status::optimal);
  EXPECT_EQ(shunt::moved_experts(p.previous_of(0), answer.plan, 0), 1);
}

TEST(incremental, bad_input_is_named) {
  expert_layers good{.experts = 2, .loads = {3, 1}, .slots_per_rank = {1, 1}, .previous = {0, 1}};
  EXPECT_EQ(field_of([&] { (void)shunt::incremental{.moves = -1}(good); }), "moves");
  EXPECT_EQ(field_of([&] { (void)shunt::incremental{.windows = 0}(good); }), "windows");
  EXPECT_EQ(field_of([&] { (void)shunt::incremental{.price = -0.5}(good); }), "price");
  auto bad = good;
  bad.previous = {0, 1, 0};
  EXPECT_EQ(field_of([&] { (void)shunt::incremental{}(bad); }), "previous");
  bad.previous = {0, 2};
  EXPECT_EQ(field_of([&] { (void)shunt::incremental{}(bad); }), "previous[0][1]");
  bad = good;
  bad.history = {1, 2, 3};
  EXPECT_EQ(field_of([&] { (void)shunt::incremental{}(bad); }), "history");
  bad.history = {1, 2, 3, -4};
  EXPECT_EQ(field_of([&] { (void)shunt::incremental{}(bad); }), "history[1][0][1]");
  bad = good;
  bad.groups = 3;
  EXPECT_EQ(field_of([&] { (void)shunt::eplb{}(bad); }), "groups");
  bad = good;
  bad.ranks_per_node = -1;
  EXPECT_EQ(field_of([&] { (void)shunt::eplb{}(bad); }), "ranks_per_node");
  good.previous = {0, 0};
  EXPECT_EQ(shunt::incremental{.moves = 0}(good).plan.expert_of, (std::vector<expert_id>{1, 0}));
}

/// A rank was lost with the only replica of expert 5; a rank joined whose slots hold nothing yet.
TEST(incremental, places_lost_experts_again_and_fills_empty_slots) {
  expert_layers lost{.experts = 8,
                     .loads = {900, 100, 200, 300, 800, 50, 60, 70},
                     .slots_per_rank = {2, 2, 0, 2, 2},
                     .previous = {0, 1, 2, 3, 6, 7, 0, 4}};
  for (std::int32_t const moves : {0, 1, 2}) {
    auto const answer = incremental{.moves = moves}(lost);
    ASSERT_TRUE(answer.has_plan());
    EXPECT_TRUE(shunt::check(lost, answer.plan).empty());
    EXPECT_LE(shunt::moved_experts(lost.previous_of(0), answer.plan, 0), std::max(1, moves));
  }
  auto joined = lost;
  joined.slots_per_rank = {2, 2, 2, 2, 2};
  joined.previous = {0, 1, 2, 3, 4, 5, 6, 7, -1, -1};
  for (std::int32_t const moves : {0, 1, 2}) {
    auto const answer = incremental{.moves = moves}(joined);
    EXPECT_TRUE(shunt::check(joined, answer.plan).empty());
    for (std::size_t s = 0; s < 8; ++s) EXPECT_EQ(answer.plan.expert_of[s], joined.previous[s]);
    EXPECT_EQ(shunt::moved_experts(joined.previous_of(0), answer.plan, 0), 2);
  }
  EXPECT_LT((incremental{.moves = 4}(joined).objective), 2);
}

TEST(incremental, completes_any_damaged_placement) {
  std::mt19937_64 random(45);
  int lacking = 0;
  for (int i = 0; i < 300; ++i) {
    auto p = random_migration(random, 9, 6);
    if (i % 3 == 0) {
      p.ranks_per_node = static_cast<std::int32_t>(1 + below(random, 3));
      p.groups = static_cast<std::int32_t>(1 + below(random, p.experts));
    }
    std::int32_t damaged = 0;
    for (auto& e : p.previous) {
      auto const what = below(random, 4);
      if (what < 2) e = what == 0 ? expert_id{-1} : expert_id{below(random, p.experts)};
      damaged += what == 0;
    }
    auto const budget = static_cast<std::int32_t>(below(random, 10));
    auto const answer = incremental{.moves = budget, .first = {.effort = 2000}}(p);
    if (!answer.has_plan()) continue;
    EXPECT_EQ(shunt::check(p, answer.plan), std::vector<shunt::placement_violation>{});
    for (layer_id l : shunt::ids<layer_id>(p.layers)) {
      auto const before = p.previous_of(l);
      auto const least = static_cast<std::int32_t>(std::count(before.begin(), before.end(), -1));
      EXPECT_LE(shunt::moved_experts(before, answer.plan, l), std::max(budget, least + p.experts));
    }
    lacking += damaged > 0;
    auto const kept = (shunt::eplb{} | shunt::keep_ranks{})(p);
    EXPECT_TRUE(!kept.has_plan() || shunt::check(p, kept.plan).empty());
    EXPECT_TRUE(shunt::check(p, shunt::lazarus{}(p).plan).empty());
  }
  EXPECT_GT(lacking, 100);
}

/// Ten thousand experts on 128 ranks are answered at once; a million on 1,024 are refused by name.
TEST(incremental, large_layers) {
  expert_layers p{.experts = 10'000, .loads = {}, .slots_per_rank = shunt::deal_slots(11'000, 128)};
  std::mt19937_64 random(46);
  for (std::int32_t e = 0; e < p.experts; ++e)
    p.loads.push_back(1 + 1'000'000 / (1 + below(random, 10'000)));
  p.previous = shunt::eplb{}(p).plan.expert_of;
  for (auto& load : p.loads) load = load * (50 + below(random, 100)) / 100 + 1;
  auto const answer = incremental{}(p);
  ASSERT_TRUE(answer.has_plan());
  EXPECT_TRUE(shunt::check(p, answer.plan).empty());
  EXPECT_LE(shunt::moved_experts(p.previous_of(0), answer.plan, 0), 2);
  EXPECT_TRUE(shunt::balanced{}(p).has_plan());
  EXPECT_TRUE(shunt::lazarus{}(p).has_plan());
  expert_layers const beyond{.experts = 1'000'000,
                             .loads = std::vector<std::int64_t>(1'000'000, 1),
                             .slots_per_rank = shunt::deal_slots(1 << 20, 1024)};
  EXPECT_EQ(field_of([&] { (void)incremental{}(beyond); }), "experts");
}

}  // namespace
}  // namespace shunt::tests::incremental_test
