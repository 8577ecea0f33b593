#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <random>
#include <stop_token>
#include <vector>

#include "shunt/check/placement.hpp"
#include "shunt/check/token_quotas.hpp"
#include "shunt/measure/imbalance.hpp"
#include "shunt/solve/experts/balanced.hpp"
#include "shunt/solve/experts/eplb.hpp"
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
    for (layer_id l : shunt::ids<layer_id>(p.layers)) {
      bool const fewer = shunt::hosted_pairs(answer.plan, l) > shunt::hosted_pairs(peer.plan, l);
      EXPECT_TRUE(fewer || shunt::max_over_mean(p.loads_of(l), answer.plan, l) <=
                               shunt::max_over_mean(p.loads_of(l), peer.plan, l));
    }
  }
}

TEST(balanced, no_expert_twice_on_a_rank_with_equal_slots) {
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
    auto const answer = shunt::balanced{.effort = 2000}(p);
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
    auto const answer = shunt::balanced{.effort = 30'000}(p);
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
