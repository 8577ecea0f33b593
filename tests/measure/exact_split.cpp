#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <random>
#include <vector>

#include "shunt/measure/exact_split.hpp"
#include "shunt/measure/imbalance.hpp"
#include "shunt/solve/experts/eplb.hpp"
#include "support/expert_problems.hpp"

namespace shunt::tests::exact_split_test {
namespace {

// ---- exact split ----

TEST(exact_split, is_halls_ratio) {
  std::mt19937_64 random(21);
  int below_even = 0;
  for (int i = 0; i < 1500; ++i) {
    auto p = random_layers_of_six_shapes(random, 6, 5, 3);
    p.layers = 1;
    p.loads.resize(static_cast<std::size_t>(p.experts));
    auto const plan = shunt::eplb{}(p).plan;
    std::int64_t wanted = 0;
    for (int subset = 1; subset < 1 << p.experts; ++subset) {
      std::int64_t tokens = 0, ranks = 0;
      for (int e = 0; e < p.experts; ++e)
        tokens += subset >> e & 1 ? p.loads[static_cast<std::size_t>(e)] : 0;
      for (std::size_t r = 0; r < p.slots_per_rank.size(); ++r) {
        bool holds = false;
        for (auto s = plan.first_slot[r]; s < plan.first_slot[r + 1]; ++s)
          holds = holds || (subset >> plan.expert_of[static_cast<std::size_t>(s)].value() & 1) != 0;
        ranks += holds;
      }
      wanted = std::max(wanted, (tokens + ranks - 1) / ranks);
    }
    auto const found = shunt::exact_split_load(p.loads, plan, 0);
    ASSERT_EQ(found, wanted) << "case " << i;
    auto const even = shunt::rank_loads(p.loads, plan, 0);
    double const fullest = *std::max_element(even.begin(), even.end());
    EXPECT_LE(static_cast<double>(found), fullest + 1);
    below_even += static_cast<double>(found) < fullest - 1;
  }
  EXPECT_GT(below_even, 100);
  expert_placement const lacking{.layers = 1, .experts = 2, .first_slot = {0, 1}, .expert_of = {0}};
  EXPECT_EQ(shunt::exact_split_load(std::vector<std::int64_t>{1, 1}, lacking, 0), -1);
  EXPECT_EQ(shunt::exact_split_load(std::vector<std::int64_t>{7, 0}, lacking, 0), 7);
}

}  // namespace
}  // namespace shunt::tests::exact_split_test
