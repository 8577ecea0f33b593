#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <numeric>
#include <random>
#include <vector>

#include "shunt/check/placement.hpp"
#include "shunt/measure/imbalance.hpp"
#include "shunt/measure/moved_experts.hpp"
#include "shunt/measure/survival.hpp"
#include "shunt/solve/experts/flexmoe.hpp"
#include "shunt/solve/experts/lazarus.hpp"
#include "shunt/solve/experts/shadow.hpp"
#include "shunt/solve/experts/swift_moe.hpp"
#include "support/expert_policies.hpp"
#include "support/random_cases.hpp"
#include "support/refusals.hpp"

namespace shunt::tests::lazarus_test {
namespace {

/// The rule as the paper writes it, every sum taken anew.
counts_list plain_lazarus_counts(loads_list const& loads, std::int32_t slots, std::int32_t floor) {
  std::vector<std::size_t> order(loads.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::sort(order.begin(), order.end(),
            [&](auto a, auto b) { return loads[a] < loads[b] || (loads[a] == loads[b] && a < b); });
  counts_list counts(loads.size(), 0);
  for (std::size_t i = 0; i < order.size(); ++i) {
    std::int64_t tail = 0;
    for (std::size_t j = i; j < order.size(); ++j) tail += loads[order[j]];
    std::int64_t const left =
        slots - std::accumulate(counts.begin(), counts.end(), std::int64_t{0});
    std::int64_t const share = tail == 0 ? left / static_cast<std::int64_t>(order.size() - i)
                                         : loads[order[i]] * left / tail;
    counts[order[i]] = static_cast<std::int32_t>(std::max<std::int64_t>(
        share, std::min(floor, slots / static_cast<std::int32_t>(loads.size()))));
  }
  return counts;
}

TEST(lazarus, counts_follow_the_papers_rule) {
  EXPECT_EQ(shunt::lazarus_counts(loads_list{700, 200, 60, 40}, 8, 1), (counts_list{5, 1, 1, 1}));
  EXPECT_EQ(shunt::lazarus_counts(loads_list{700, 200, 60, 40}, 12, 2), (counts_list{6, 2, 2, 2}));
  EXPECT_EQ(shunt::lazarus_counts(loads_list{0, 0, 0}, 8, 2), (counts_list{2, 3, 3}));
  EXPECT_EQ(shunt::lazarus_counts(loads_list{9, 0, 0}, 8, 4),
            (counts_list{4, 2, 2}));  // the floor is lowered to 8 / 3
  std::mt19937_64 random(12);
  for (int i = 0; i < 3000; ++i) {
    auto const p = random_layers_with_previous(random, 12, false);
    auto const row = p.loads_of(0);
    auto const floor = static_cast<std::int32_t>(1 + below(random, 4));
    auto const counts = shunt::lazarus_counts(row, p.slots(), floor);
    ASSERT_EQ(counts, plain_lazarus_counts({row.begin(), row.end()}, p.slots(), floor));
    EXPECT_EQ(std::accumulate(counts.begin(), counts.end(), 0), p.slots());
    EXPECT_GE(*std::min_element(counts.begin(), counts.end()),
              std::min(floor, p.slots() / p.experts));
  }
}

TEST(lazarus, placements_are_valid_and_have_its_counts) {
  std::mt19937_64 random(13);
  for (int i = 0; i < 1500; ++i) {
    auto const p = random_layers_with_previous(random, 12, i % 3 == 0);
    shunt::lazarus const solver{.floor = static_cast<std::int32_t>(1 + below(random, 3))};
    auto const answer = solver(p);
    ASSERT_EQ(shunt::check(p, answer.plan), std::vector<shunt::placement_violation>{});
    EXPECT_GE(answer.objective, answer.lower_bound);
    for (std::int32_t l = 0; l < p.layers; ++l) {
      auto const counts = shunt::lazarus_counts(p.loads_of(l), p.slots(), solver.floor);
      EXPECT_EQ(shunt::replica_counts(answer.plan, l).items(), counts);
    }
    auto again = p;
    again.previous = answer.plan.expert_of;
    for (std::int32_t l = 0; l < p.layers; ++l)
      EXPECT_EQ(shunt::moved_experts(again.previous_of(l), solver(again).plan, l), 0);
  }
}

/// Equal slots, whole groups: no placement with the same counts survives more failures, of however
/// many ranks.
TEST(lazarus, maximum_rank_overlap_is_the_best_of_all_placements) {
  struct sizes {
    std::int32_t ranks, slots, experts;
  };
  std::mt19937_64 random(14);
  int better = 0;
  for (auto const& s :
       {sizes{4, 2, 4}, sizes{3, 2, 2}, sizes{3, 3, 3}, sizes{5, 1, 3}, sizes{4, 2, 2}})
    for (int i = 0; i < 4; ++i) {
      expert_layers p{.experts = s.experts,
                      .slots_per_rank = counts_list(static_cast<std::size_t>(s.ranks), s.slots)};
      for (std::int32_t e = 0; e < s.experts; ++e)
        p.loads.push_back(1 + below(random, i < 2 ? 10 : 100));
      auto const plan =
          shunt::lazarus{.floor = static_cast<std::int32_t>(1 + below(random, 2))}(p).plan;
      auto const counts = shunt::replica_counts(plan, 0).items();
      auto const ours = survivors(host_bits(plan, 0), s.ranks);
      // every way to deal the counts to the slots, ascending within a rank
      std::vector<std::int32_t> held;
      auto left = counts;
      std::vector<std::uint32_t> hosts(static_cast<std::size_t>(s.experts), 0);
      std::function<void()> const deal = [&] {
        auto const at = static_cast<std::int32_t>(held.size());
        if (at == s.ranks * s.slots) {
          auto const theirs = survivors(hosts, s.ranks);
          for (std::size_t k = 0; k < ours.size(); ++k)
            ASSERT_LE(theirs[k], ours[k]) << s.ranks << "x" << s.slots << " " << k;
          better += theirs != ours;
          return;
        }
        for (std::int32_t e = at % s.slots == 0 ? 0 : held.back(); e < s.experts; ++e) {
          auto const i_e = static_cast<std::size_t>(e);
          if (left[i_e] == 0) continue;
          auto const before = hosts[i_e];
          --left[i_e];
          hosts[i_e] |= std::uint32_t{1} << (at / s.slots);
          held.push_back(e);
          deal();
          held.pop_back();
          hosts[i_e] = before;
          ++left[i_e];
        }
      };
      deal();
    }
  EXPECT_GT(better, 100);
}

TEST(lazarus, survives_more_than_contiguous_slots) {
  expert_layers const p{
      .experts = 8, .loads = {90, 80, 70, 60, 50, 40, 30, 20}, .slots_per_rank = counts_list(8, 4)};
  auto const ours = shunt::lazarus{}(p).plan, contiguous = shunt::swift_moe{}(p).plan;
  EXPECT_EQ(shunt::survival_chance(ours, 0, 1), 1);
  EXPECT_LT(shunt::survival_chance(contiguous, 0, 1), 1);
  for (std::int32_t k = 2; k < 8; ++k)
    EXPECT_GE(shunt::survival_chance(ours, 0, k), shunt::survival_chance(contiguous, 0, k));
}

TEST(lazarus, bad_settings_and_no_plan) {
  expert_layers const p{.experts = 3, .loads = {1, 2, 3}, .slots_per_rank = {1, 1}};
  EXPECT_EQ(shunt::lazarus{}(p).status, shunt::status::infeasible);
  EXPECT_EQ(shunt::flexmoe{}(p).status, shunt::status::infeasible);
  EXPECT_EQ(shunt::shadow{}(p).reason, "slots_per_rank: 2 slots for 3 experts");
  EXPECT_EQ(field_of([&] { (void)shunt::lazarus{.floor = 0}(p); }), "floor");
  EXPECT_EQ(field_of([&] { (void)shunt::shadow{.broadcast_cost = -1}(p); }), "broadcast_cost");
  EXPECT_EQ(field_of([&] { (void)shunt::flexmoe{.trigger = 0.5}(p); }), "trigger");
  EXPECT_EQ(field_of([&] { (void)shunt::flexmoe{.steps = -1}(p); }), "steps");
  EXPECT_EQ(field_of([&] { (void)shunt::flexmoe{.sync_cost = -1}(p); }), "sync_cost");
  EXPECT_EQ(field_of([&] { (void)shunt::flexmoe{.move_cost = -1}(p); }), "move_cost");
  EXPECT_EQ(field_of([&] { (void)shunt::flexmoe{.horizon = 0}(p); }), "horizon");
}

}  // namespace
}  // namespace shunt::tests::lazarus_test
