#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <random>
#include <vector>

#include "shunt/check/placement.hpp"
#include "shunt/measure/imbalance.hpp"
#include "shunt/plan/expert_hosts.hpp"
#include "shunt/solve/experts/uniform.hpp"
#include "support/expert_problems.hpp"

namespace shunt::tests::uniform_test {
namespace {

TEST(uniform, is_deep_speeds_rule_where_that_is_defined) {
  // 16 experts, 4 a rank: groups of 4 ranks; rank j of each group holds experts 4 j .. 4 j + 3
  auto const plan = shunt::uniform{}(one_layer(std::vector<std::int64_t>(16, 1),
                                               std::vector<std::int32_t>(16, 4)))
                        .plan;
  for (std::int32_t rank = 0; rank < 16; ++rank)
    for (std::int32_t k = 0; k < 4; ++k)
      EXPECT_EQ(plan.layer(0)[static_cast<std::size_t>(4 * rank + k)],
                expert_id{4 * (rank % 4) + k});
}

TEST(uniform, spreads_replicas_evenly_over_distinct_ranks) {
  std::mt19937_64 random(3);
  for (int i = 0; i < 2000; ++i) {
    auto const p = random_layers_of_many_shapes(random, 12);
    auto const plan = shunt::uniform{}(p).plan;
    ASSERT_TRUE(shunt::check(p, plan).empty());
    auto const counts = shunt::replica_counts(plan, 0).items();
    EXPECT_LE(*std::max_element(counts.begin(), counts.end()) -
                  *std::min_element(counts.begin(), counts.end()),
              1);
    for (auto const& hosts : shunt::hosts_of(plan, 0))
      for (auto const& h : hosts) {
        EXPECT_LE(static_cast<std::int32_t>(h.slots.size()),
                  (p.slots_per_rank[h.rank.index()] + p.experts - 1) / p.experts);
      }
  }
}

}  // namespace
}  // namespace shunt::tests::uniform_test
