#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <random>
#include <vector>

#include "shunt/check/layer_slots.hpp"
#include "shunt/check/placement.hpp"
#include "shunt/check/token_quotas.hpp"
#include "shunt/measure/imbalance.hpp"
#include "shunt/measure/placement_bounds.hpp"
#include "shunt/solve/experts/swift_moe.hpp"
#include "shunt/solve/experts/uniform.hpp"
#include "support/random_cases.hpp"
#include "support/slot_budgets.hpp"

namespace shunt::tests::placement_bounds_test {
namespace {

/// Every placement of small problems: none is better than the bound, and the bound is met
/// somewhere.
TEST(placement_bounds, no_placement_beats_the_bound) {
  std::mt19937_64 random(4);
  int met = 0, above_one = 0;
  for (int i = 0; i < 300; ++i) {
    expert_layers p;
    p.experts = static_cast<std::int32_t>(1 + below(random, 3));
    for (auto ranks = 1 + below(random, 4); ranks > 0; --ranks)
      p.slots_per_rank.push_back(static_cast<std::int32_t>(below(random, 3)));
    while (p.slots() < p.experts) ++p.slots_per_rank[0];
    for (std::int32_t e = 0; e < p.experts; ++e)
      p.loads.push_back(e == 0 ? below(random, 100) : below(random, 10));
    expert_placement plan{.layers = 1, .experts = p.experts, .first_slot = {0}, .expert_of = {}};
    for (auto const s : p.slots_per_rank) plan.first_slot.push_back(plan.first_slot.back() + s);
    auto const slots = static_cast<std::size_t>(p.slots());
    plan.expert_of.assign(slots, 0);
    double best = std::numeric_limits<double>::infinity();
    for (;;) {
      if (shunt::check(p, plan).empty()) best = std::min(best, shunt::mean_max_over_mean(p, plan));
      std::size_t at = 0;
      while (at < slots && plan.expert_of[at] == expert_id{p.experts - 1}) plan.expert_of[at++] = 0;
      if (at == slots) break;
      ++plan.expert_of[at];
    }
    double const bound = shunt::max_over_mean_bound(p, 0);
    EXPECT_GE(best, bound * (1 - 1e-12));
    EXPECT_GE(bound, 1);
    met += best <= bound * (1 + 1e-12);
    above_one += bound > 1.001;
    for (auto const& answer : {shunt::swift_moe{}(p), shunt::uniform{}(p)})
      EXPECT_GE(answer.objective, best * (1 - 1e-12));
  }
  EXPECT_GT(met, 100);
  EXPECT_GT(above_one, 20);
}

TEST(placement_bounds, fullest_rank_bounds_equal_every_count) {
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

TEST(placement_bounds, a_hot_expert_is_bound_by_live_ranks) {
  // 900 of 1000 tokens on at most 4 live ranks: 225 of a mean of 250, no bound beyond 1; on at most
  // 2 of them where slots are short: 450
  EXPECT_EQ(shunt::max_over_mean_bound(
                {.experts = 2, .loads = {900, 100}, .slots_per_rank = {2, 2, 0, 2, 2}}, 0),
            1);
  EXPECT_DOUBLE_EQ(shunt::max_over_mean_bound(
                       {.experts = 3, .loads = {900, 50, 50}, .slots_per_rank = {1, 1, 1, 1}}, 0),
                   450.0 / 250);
  // two hot experts share what is left: 3 copies each at best
  EXPECT_DOUBLE_EQ(
      shunt::max_over_mean_bound(
          {.experts = 4, .loads = {500, 500, 0, 0}, .slots_per_rank = {1, 1, 1, 1, 1, 1, 1, 1}}, 0),
      500.0 / 3 * 8 / 1000);
}

}  // namespace
}  // namespace shunt::tests::placement_bounds_test
