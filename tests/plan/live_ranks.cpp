#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "shunt/core/error.hpp"
#include "shunt/plan/live_ranks.hpp"
#include "shunt/solve/experts/eplb.hpp"
#include "support/expert_policies.hpp"

namespace shunt::tests::live_ranks_test {
namespace {

TEST(live_ranks, a_dead_rank_has_no_slots_and_no_content) {
  expert_layers const p{.layers = 2,
                        .experts = 3,
                        .loads = {1, 2, 3, 4, 5, 6},
                        .slots_per_rank = {2, 1, 2},
                        .previous = {0, 1, 2, -1, 0, 1, 1, 0, 2, 2}};
  auto const left = shunt::on_live_ranks(p, {true, false, true});
  EXPECT_EQ(left.slots_per_rank, (std::vector<std::int32_t>{2, 0, 2}));
  EXPECT_EQ(left.previous, (std::vector<expert_id>{0, 1, -1, 0, 1, 1, 2, 2}));
  EXPECT_EQ(left.loads, p.loads);
  EXPECT_EQ(shunt::on_live_ranks(p, {true, true, true}), p);
  expert_placement const plan{
      .layers = 2, .experts = 3, .first_slot = {0, 2, 2, 4}, .expert_of = left.previous};
  EXPECT_EQ(shunt::on_all_ranks(plan, p.slots_per_rank),
            (std::vector<expert_id>{0, 1, -1, -1, 0, 1, 1, -1, 2, 2}));
}

TEST(live_ranks, of_all_ranks_and_back) {
  std::mt19937_64 random(71);
  for (int i = 0; i < 200; ++i) {
    auto const p = random_layers_with_previous(random, 8, true);
    std::vector<bool> live;
    for (std::int32_t r = 0; r < p.ranks(); ++r) live.push_back(below(random, 2) == 0);
    live[0] = true;
    auto left = shunt::on_live_ranks(p, live);
    EXPECT_NO_THROW(validate(left));
    auto const answer = shunt::eplb{}(left);
    if (!answer.has_plan()) continue;
    auto all = p;
    all.previous = shunt::on_all_ranks(answer.plan, p.slots_per_rank);
    EXPECT_NO_THROW(validate(all));
    left.previous = answer.plan.expert_of;
    EXPECT_EQ(shunt::on_live_ranks(all, live), left);
  }
}

TEST(live_ranks, what_does_not_fit_is_named) {
  expert_layers p{.experts = 2, .loads = {1, 2}, .slots_per_rank = {1, 1}, .previous = {0, 1}};
  auto const refusal = [&](std::vector<bool> const& live) {
    try {
      (void)shunt::on_live_ranks(p, live);
    } catch (invalid_problem const& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  EXPECT_EQ(refusal({true}), "live: has 1 entries for 2 ranks");
  EXPECT_EQ(refusal({false, false}), "live: has no rank");
  p.previous = {0};
  EXPECT_EQ(refusal({true, false}), "previous: has 1 values for 1 layers x 2 slots");
}

}  // namespace
}  // namespace shunt::tests::live_ranks_test
