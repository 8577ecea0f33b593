#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <random>

#include "shunt/check/placement.hpp"
#include "shunt/measure/imbalance.hpp"
#include "shunt/measure/token_traffic.hpp"
#include "shunt/solve/experts/near_sources.hpp"
#include "shunt/solve/experts/swift_moe.hpp"
#include "support/relabellings.hpp"

namespace shunt::tests::near_sources_test {
namespace {

TEST(near_sources, keeps_the_most_tokens_of_all_dealings) {
  std::mt19937_64 random(33);
  int more = 0;
  for (int i = 0; i < 200; ++i) {
    bool const divisible = i % 2 == 0;
    auto const p = random_layers_with_sources(random, divisible);
    auto plan = random_plan(random, p);
    auto const near = shunt::near_sources{}(p, plan);
    EXPECT_TRUE(shunt::check(p, near.plan).empty());
    EXPECT_DOUBLE_EQ(near.objective, shunt::mean_max_over_mean(p, plan));
    for (layer_id l : shunt::ids<layer_id>(p.layers)) {
      std::int64_t const before = shunt::local_tokens(p, plan, l),
                         after = shunt::local_tokens(p, near.plan, l);
      EXPECT_GE(after, before);
      more += after > before;
      std::int64_t best = before;
      every_dealing(p, [&](auto const& row) {
        best = std::max(best, shunt::local_tokens(p, dealt(plan, l, row), l));
      });
      auto const counts = shunt::replica_counts(plan, l);
      bool const exact =
          std::all_of(counts.begin(), counts.end(), [](auto c) { return c <= 6 && 60 % c == 0; });
      if (divisible && exact) {
        EXPECT_EQ(after, best);
      }
      EXPECT_LE(after, best);
    }
  }
  EXPECT_GT(more, 100);
  auto blind = random_layers_with_sources(random, false);
  blind.sources.clear();
  auto const plan = shunt::swift_moe{}(blind).plan;
  EXPECT_EQ(shunt::near_sources{}(blind, plan).plan, plan);
}

}  // namespace
}  // namespace shunt::tests::near_sources_test
