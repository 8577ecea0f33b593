#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <random>

#include "shunt/check/placement.hpp"
#include "shunt/check/token_quotas.hpp"
#include "shunt/measure/placement_bounds.hpp"
#include "shunt/solve/experts/balanced.hpp"
#include "shunt/solve/experts/eplb.hpp"
#include "shunt/solve/experts/exact_placement.hpp"
#include "shunt/solve/experts/swift_moe.hpp"
#include "shunt/solve/experts/uniform.hpp"
#include "support/expert_problems.hpp"

namespace shunt::tests::exact_placement_test {
namespace {

TEST(exact_placement, equals_trying_all_and_proves_the_others) {
  std::mt19937_64 random(14);
  int met = 0, dead = 0;
  for (int i = 0; i < 250; ++i) {
    auto p = random_layers_of_six_shapes(random, 3, 4, 2);
    p.layers = 1;
    p.loads.resize(static_cast<std::size_t>(p.experts));
    double const best = tried_all(p, false);
    auto const exact = shunt::exact_placement{}(p);
    ASSERT_TRUE(shunt::check(p, exact.plan).empty());
    EXPECT_EQ(exact.status, status::optimal);
    EXPECT_NEAR(exact.objective, best, 1e-9);
    double const bound = shunt::max_over_mean_bound(p, 0);
    EXPECT_LE(bound, best * (1 + 1e-12));
    met += bound >= best * (1 - 1e-9);
    dead += std::count(p.slots_per_rank.begin(), p.slots_per_rank.end(), 0) > 0;
    for (auto const& answer : {shunt::swift_moe{}(p), shunt::uniform{}(p), shunt::eplb{}(p),
                               shunt::balanced{.effort = 3000}(p)}) {
      EXPECT_GE(answer.objective, best * (1 - 1e-9));
      EXPECT_LE(answer.lower_bound, best * (1 + 1e-9));
      if (answer.status == status::optimal) {
        EXPECT_NEAR(answer.objective, best, 1e-9);
      }
    }
  }
  EXPECT_GT(met, 100);
  EXPECT_GT(dead, 20);
}

TEST(exact_placement, stops_at_its_effort) {
  expert_layers p{
      .layers = 1, .experts = 12, .loads = {}, .slots_per_rank = shunt::deal_slots(30, 10)};
  for (std::int64_t e = 0; e < 12; ++e) p.loads.push_back(100 + 37 * e % 91);
  auto const answer = shunt::exact_placement{.effort = 2000}(p);
  EXPECT_EQ(answer.status, status::limit_reached);
  EXPECT_EQ(answer.reason,
            "effort: 2000 nodes ended the search of layer 0; the plan is the best one known");
  EXPECT_LE(answer.objective, shunt::balanced{}(p).objective);
  double best = answer.objective;
  for (std::int64_t const effort : {3'000, 20'000, 100'000}) {
    double const now = shunt::exact_placement{.effort = effort}(p).objective;
    EXPECT_LE(now, best);
    best = now;
  }
  EXPECT_TRUE(shunt::check(p, answer.plan).empty());
  EXPECT_LE(answer.lower_bound, answer.objective);
}

}  // namespace
}  // namespace shunt::tests::exact_placement_test
