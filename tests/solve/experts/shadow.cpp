#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <random>
#include <vector>

#include "shunt/check/placement.hpp"
#include "shunt/solve/experts/shadow.hpp"
#include "support/expert_policies.hpp"
#include "support/random_cases.hpp"

namespace shunt::tests::shadow_test {
namespace {

TEST(shadow, an_expert_has_one_host_or_all_of_them) {
  std::mt19937_64 random(17);
  int shadows = 0;
  for (int i = 0; i < 1500; ++i) {
    auto const p = random_layers_with_previous(random, 12, false);
    auto const live = p.ranks() - static_cast<std::int32_t>(std::count(p.slots_per_rank.begin(),
                                                                       p.slots_per_rank.end(), 0));
    shunt::shadow const solver{.broadcast_cost = below(random, 3) * 50};
    auto const answer = solver(p);
    ASSERT_EQ(shunt::check(p, answer.plan), std::vector<shunt::placement_violation>{});
    if (p.experts < live) continue;
    auto const alone =
        shunt::shadow{.broadcast_cost = std::numeric_limits<std::int64_t>::max()}(p).plan;
    for (std::int32_t l = 0; l < p.layers; ++l) {
      auto const hosts = host_bits(answer.plan, l), homes = host_bits(alone, l);
      double sent = 0;
      for (std::size_t e = 0; e < hosts.size(); ++e) {
        EXPECT_EQ(std::popcount(homes[e]), 1);
        EXPECT_EQ(hosts[e] & homes[e], homes[e]);  // homes don't move
        EXPECT_TRUE(hosts[e] == homes[e] || std::popcount(hosts[e]) == live);
        sent += hosts[e] != homes[e];
      }
      shadows += sent > 0;
    }
  }
  EXPECT_GT(shadows, 100);
}

TEST(shadow, pays_or_does_not) {
  // four ranks, two homes each, one spare slot each: only one shadow fits
  expert_layers const p{
      .experts = 8, .loads = {800, 10, 10, 10, 10, 10, 10, 10}, .slots_per_rank = {3, 3, 3, 3}};
  auto const hosts_of_hot = [&](std::int64_t cost) {
    return std::popcount(host_bits(shunt::shadow{.broadcast_cost = cost}(p).plan, 0)[0]);
  };
  // alone 810; as a shadow 20 + 800 / 4 = 220
  EXPECT_EQ(hosts_of_hot(0), 4);
  EXPECT_EQ(hosts_of_hot(589), 4);
  EXPECT_EQ(hosts_of_hot(590), 1);
  auto const plan = shunt::shadow{.broadcast_cost = 0}(p).plan;
  EXPECT_EQ(plan.expert_of, (std::vector<expert_id>{0, 1, 1, 2, 3, 0, 4, 5, 0, 6, 7, 0}));
  EXPECT_NEAR(shunt::shadow_cost(1024, 4, 2, 12.5e9, 1e13), 236, 1);
}

}  // namespace
}  // namespace shunt::tests::shadow_test
