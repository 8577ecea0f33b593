#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <random>
#include <vector>

#include "shunt/measure/survival.hpp"
#include "shunt/solve/experts/eplb.hpp"
#include "shunt/solve/experts/lazarus.hpp"
#include "shunt/solve/experts/swift_moe.hpp"
#include "support/expert_policies.hpp"
#include "support/refusals.hpp"

namespace shunt::tests::survival_test {
namespace {

TEST(survival, equals_every_set_of_failures) {
  std::mt19937_64 random(11);
  int met = 0;
  for (int i = 0; i < 400; ++i) {
    auto const p = random_layers_with_previous(random, 9, false);
    auto const live = p.ranks() - static_cast<std::int32_t>(std::count(p.slots_per_rank.begin(),
                                                                       p.slots_per_rank.end(), 0));
    for (auto const& plan :
         {shunt::swift_moe{}(p).plan, shunt::eplb{}(p).plan, shunt::lazarus{}(p).plan})
      for (std::int32_t l = 0; l < p.layers; ++l) {
        auto const wanted = survivors(host_bits(plan, l), live);
        EXPECT_EQ(shunt::survivable_failures(plan, l), wanted);
        EXPECT_EQ(shunt::survival_chance(plan, l, 0), 1);
        EXPECT_EQ(shunt::survival_chance(plan, l, live), 0);
        if (live > 1) {
          EXPECT_DOUBLE_EQ(shunt::survival_chance(plan, l, 1), wanted[1] / live);
        }
        met += shunt::minimal_host_sets(plan, l).size() > 2;
      }
  }
  EXPECT_GT(met, 50);
}

TEST(survival, by_hand) {
  // experts 0 and 1 on ranks 0 and 1, expert 2 on ranks 1 and 2: lost with {0,1}, {1,2}
  expert_placement const plan{
      .layers = 1, .experts = 3, .first_slot = {0, 2, 5, 6, 6}, .expert_of = {0, 1, 0, 1, 2, 2}};
  EXPECT_EQ(shunt::minimal_host_sets(plan, 0), (std::vector<shunt::host_set>{{0, 1}, {1, 2}}));
  EXPECT_EQ(shunt::survivable_failures(plan, 0),
            (std::vector<double>{1, 3, 1, 0}));  // rank 3 is dead already
  EXPECT_DOUBLE_EQ(shunt::survival_chance(plan, 0, 2), 1.0 / 3);
  EXPECT_EQ(field_of([&] { (void)shunt::survival_chance(plan, 0, 4); }), "failed");
}

}  // namespace
}  // namespace shunt::tests::survival_test
