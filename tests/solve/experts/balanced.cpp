#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <random>
#include <stop_token>
#include <utility>
#include <vector>

#include "shunt/check/placement.hpp"
#include "shunt/check/token_quotas.hpp"
#include "shunt/measure/imbalance.hpp"
#include "shunt/measure/spilled_replicas.hpp"
#include "shunt/solve/experts/balanced.hpp"
#include "shunt/solve/experts/eplb.hpp"
#include "shunt/solve/experts/exact_placement.hpp"
#include "shunt/solve/experts/swift_moe.hpp"
#include "support/expert_problems.hpp"
#include "support/random_cases.hpp"
#include "support/refusals.hpp"

namespace shunt::tests::balanced_test {
namespace {

// ---- balanced ----

TEST(balanced, laws_over_random_layers) {
  std::mt19937_64 random(15);
  for (int i = 0; i < 250; ++i) {
    auto const p = random_layers_of_six_shapes(random, 12, 8, 5);
    shunt::balanced const solver{.effort = 3000};
    auto const answer = solver(p);
    ASSERT_EQ(shunt::check(p, answer.plan), std::vector<shunt::placement_violation>{});
    EXPECT_EQ(answer, solver(p));
    EXPECT_GE(answer.objective, answer.lower_bound);
    auto const peer = shunt::eplb{}(p);
    auto const once = shunt::balanced{.effort = 3000, .repeats = false}(p);
    ASSERT_TRUE(shunt::check(p, once.plan).empty());
    for (layer_id l : shunt::ids<layer_id>(p.layers)) {
      auto const loads = p.loads_of(l);
      EXPECT_LE(shunt::max_over_mean(loads, answer.plan, l),
                shunt::max_over_mean(loads, peer.plan, l));
      EXPECT_LE(shunt::max_over_mean(loads, answer.plan, l),
                shunt::max_over_mean(loads, shunt::swift_moe{}(p).plan, l));
      bool const fewer = shunt::hosted_pairs(once.plan, l) > shunt::hosted_pairs(peer.plan, l);
      EXPECT_TRUE(fewer || shunt::max_over_mean(loads, once.plan, l) <=
                               shunt::max_over_mean(loads, peer.plan, l));
    }
  }
}

TEST(balanced, is_never_above_eplb_on_small_layers_with_groups_or_without) {
  std::mt19937_64 random(18);
  int grouped = 0, below_it = 0, cases = 0;
  while (cases < 10000) {
    auto p = random_layers_of_six_shapes(random, 10, 8, 4);
    if (below(random, 2) == 0) {
      p.ranks_per_node = static_cast<std::int32_t>(1 + below(random, p.ranks()));
      auto const nodes = p.nodes(), most = p.experts / nodes;
      if (most > 0) p.groups = nodes * static_cast<std::int32_t>(1 + below(random, most));
    }
    auto const peer = shunt::eplb{}(p);
    auto const answer = shunt::balanced{.effort = 2000}(p);
    ASSERT_EQ(answer.has_plan(), peer.has_plan());
    if (!peer.has_plan()) continue;
    ++cases;
    grouped += p.groups > 0 && p.nodes() > 1;
    ASSERT_TRUE(shunt::check(p, answer.plan).empty());
    for (layer_id l : shunt::ids<layer_id>(p.layers)) {
      double const now = shunt::max_over_mean(p.loads_of(l), answer.plan, l),
                   before = shunt::max_over_mean(p.loads_of(l), peer.plan, l);
      ASSERT_LE(now, before);
      below_it += now < before;
      EXPECT_EQ(p.groups == 0 ? 0 : shunt::spilled_replicas(p, answer.plan, l), 0);
    }
  }
  EXPECT_GT(grouped, 1500);
  EXPECT_GT(below_it, 3000);
}

TEST(balanced, near_the_optimum_of_layers_up_to_twelve_slots) {
  std::mt19937_64 random(19);
  int cases = 0, near = 0;
  while (cases < 1000) {
    auto p = random_layers_of_six_shapes(random, 8, 5, 4);
    if (p.slots() > 12 || p.slots() == p.experts) continue;
    p.layers = 1;
    p.loads.resize(static_cast<std::size_t>(p.experts));
    auto const exact = shunt::exact_placement{.effort = 10'000'000}(p);
    if (exact.status != status::optimal) continue;
    ++cases;
    near += shunt::balanced{}(p).objective <= 1.01 * exact.objective;
  }
  EXPECT_GE(near, 980);
}

TEST(balanced, more_effort_is_never_worse) {
  std::mt19937_64 random(23);
  for (int i = 0; i < 150; ++i) {
    auto p = random_layers_of_six_shapes(random, 24, 10, 4);
    if (i % 2 == 0) {
      p.ranks_per_node = static_cast<std::int32_t>(1 + below(random, p.ranks()));
      if (p.nodes() > p.experts) continue;
      p.groups = p.nodes() * static_cast<std::int32_t>(1 + below(random, p.experts / p.nodes()));
    }
    std::vector<double> best(static_cast<std::size_t>(p.layers), 1e300);
    for (std::int64_t effort = below(random, 20); effort < 100'000;
         effort += 1 + effort + below(random, 1 + effort)) {
      auto const answer = shunt::balanced{.effort = effort}(p);
      if (!answer.has_plan()) break;
      for (layer_id l : shunt::ids<layer_id>(p.layers)) {
        double const now = shunt::max_over_mean(p.loads_of(l), answer.plan, l);
        EXPECT_LE(now, best[l.index()] * (1 + 1e-4)) << i << ' ' << effort;  // the tolerance
        best[l.index()] = now;
      }
    }
  }
}

/// Layers from the field, and what a placement reaches.
TEST(balanced, small_layers_from_the_field) {
  expert_layers grouped{.layers = 2,
                        .experts = 12,
                        .loads = {90, 132, 40,  61, 104, 165, 39,  4,   73,  56, 183, 86,
                                  20, 107, 104, 64, 19,  197, 187, 157, 172, 86, 16,  27},
                        .slots_per_rank = shunt::deal_slots(16, 8),
                        .ranks_per_node = 2,
                        .groups = 4};
  auto const answer = shunt::balanced{}(grouped);
  EXPECT_LE(shunt::max_over_mean(grouped.loads_of(0), answer.plan, 0), 1.3747);
  EXPECT_LE(shunt::max_over_mean(grouped.loads_of(1), answer.plan, 1), 1.8375);
  auto const reaches = [](std::vector<std::int64_t> loads, std::int32_t slots, std::int32_t ranks) {
    return shunt::balanced{}(one_layer(std::move(loads), shunt::deal_slots(slots, ranks)))
        .objective;
  };
  EXPECT_LE(reaches({24990, 120, 39249, 13378}, 6, 2), 1.0175);
  EXPECT_LE(reaches({190, 1001, 251, 145, 268}, 12, 4), 1.0006);
  EXPECT_LE(reaches({575, 1001, 416}, 8, 4), 1.0051);
}

/// One node has next to no tokens: any placement of it is good enough, whatever the numbers.
TEST(balanced, one_node_nearly_empty) {
  for (std::int64_t const little : {0, 1, 1000}) {
    expert_layers const p{.experts = 2,
                          .loads = {little, std::int64_t{1} << 37},
                          .slots_per_rank = {2, 2, 1, 1},
                          .ranks_per_node = 2,
                          .groups = 2};
    EXPECT_NEAR(shunt::balanced{}(p).objective, 2, 1e-6);
  }
}

TEST(balanced, no_expert_twice_on_a_rank_with_equal_slots_where_asked) {
  std::mt19937_64 random(16);
  for (int i = 0; i < 250; ++i) {
    auto const experts = static_cast<std::int32_t>(2 + below(random, 14)),
               ranks = static_cast<std::int32_t>(1 + below(random, 9));
    auto const least = (experts + ranks - 1) / ranks;
    auto const each =
        static_cast<std::int32_t>(least + below(random, std::max(1, experts - least + 1)));
    expert_layers const p{.layers = 1,
                          .experts = experts,
                          .loads = random_loads(random, experts),
                          .slots_per_rank = std::vector<std::int32_t>(
                              static_cast<std::size_t>(ranks), std::min(each, experts))};
    auto const answer = shunt::balanced{.effort = 2000, .repeats = false}(p);
    ASSERT_TRUE(shunt::check(p, answer.plan).empty());
    EXPECT_EQ(repeats(answer.plan), 0) << "case " << i;
  }
}

TEST(balanced, falls_back_where_repeats_cant_be_avoided) {
  // rank 0 has four slots for two experts: it holds both, and the colder one twice more
  expert_layers const p{.experts = 2, .loads = {90, 10}, .slots_per_rank = {4, 1}};
  auto const answer = shunt::balanced{}(p);
  EXPECT_TRUE(shunt::check(p, answer.plan).empty());
  EXPECT_LE(answer.objective, shunt::eplb{}(p).objective);
  expert_layers const hot{.experts = 4, .loads = {1000, 0, 0, 0}, .slots_per_rank = {2, 2, 2, 2}};
  EXPECT_DOUBLE_EQ(shunt::balanced{}(hot).objective, 1);
  EXPECT_EQ(shunt::balanced{}(hot).status, status::optimal);
  expert_layers const none{.experts = 3, .loads = {0, 0, 0}, .slots_per_rank = {2, 2}};
  EXPECT_DOUBLE_EQ(shunt::balanced{}(none).objective, 1);
  EXPECT_EQ(shunt::balanced{}({.experts = 3, .loads = {1, 1, 1}, .slots_per_rank = {2}}).status,
            status::infeasible);
}

TEST(balanced, near_the_optimum_of_small_layers) {
  std::mt19937_64 random(17);
  double worst = 1;
  for (int i = 0; i < 40; ++i) {
    expert_layers p{
        .layers = 1, .experts = 4, .loads = random_loads(random, 4), .slots_per_rank = {2, 2, 2}};
    double const best = tried_all(p, true);
    worst = std::max(worst, shunt::balanced{}(p).objective / best);
  }
  EXPECT_LE(worst, 1 + 1.1e-4);  // its tolerance
}

TEST(balanced, recorded_loads) {
  struct expectation {
    char const* file;
    std::int32_t slots, ranks;
    double peer, mean,
        worst;  ///< the peer's figure, which eplb reproduces, and what is asked of balanced
  };
  for (auto const& [file, slots, ranks, peer, mean, worst] :
       {expectation{"esft_translation.csv", 72, 8, 1.0041, 1.0002, 1.0005},
        expectation{"esft_translation.csv", 80, 16, 1.0136, 1.001, 1.002},
        expectation{"esft_law.csv", 80, 16, 1.0285, 1.001, 1.003},
        expectation{"zipf12.csv", 64, 16, 1.0194, 1.009, 1.02}}) {
    auto const p = recorded(file, slots, ranks);
    EXPECT_NEAR(shunt::eplb{}(p).objective, peer, 5e-5) << file;
    auto const answer = shunt::balanced{.effort = 30'000, .repeats = false}(p);
    EXPECT_TRUE(shunt::check(p, answer.plan).empty());
    EXPECT_EQ(repeats(answer.plan), 0);
    EXPECT_LE(answer.objective, mean) << file;
    EXPECT_LE(worst_layer(p, answer.plan), worst) << file;
  }
}

TEST(balanced, stops_when_asked) {
  auto const p = recorded("esft_law.csv", 80, 16);
  std::stop_source stop;
  stop.request_stop();
  auto const answer = shunt::balanced{}(p, stop.get_token());
  EXPECT_EQ(answer.plan, shunt::eplb{}(p).plan);
  EXPECT_EQ(shunt::balanced{.effort = 500}(p, std::stop_token{}),
            shunt::balanced{.effort = 500}(p));
  EXPECT_EQ(field_of([&] { (void)shunt::balanced{.effort = -1}(p); }), "effort");
  EXPECT_EQ(field_of([&] { (void)shunt::balanced{.tolerance = -1}(p); }), "tolerance");
}

}  // namespace
}  // namespace shunt::tests::balanced_test
