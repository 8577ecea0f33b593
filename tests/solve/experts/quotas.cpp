#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "shunt/check/placement.hpp"
#include "shunt/check/token_quotas.hpp"
#include "shunt/solve/experts/quotas.hpp"
#include "support/expert_problems.hpp"
#include "support/random_cases.hpp"
#include "support/refusals.hpp"

namespace shunt::tests::quotas_test {
namespace {

// ---- quotas ----

TEST(quotas, laws_over_random_layers) {
  std::mt19937_64 random(18);
  for (int i = 0; i < 2000; ++i) {
    expert_layers p{.layers = 2,
                    .experts = static_cast<std::int32_t>(1 + below(random, 24)),
                    .loads = {},
                    .slots_per_rank = {}};
    auto const ranks = 1 + below(random, 8);
    p.slots_per_rank = shunt::deal_slots(
        p.experts, static_cast<std::int32_t>(ranks));  // few experts: the last ranks are dead
    for (int l = 0; l < 2; ++l) {
      auto const row = random_loads(random, p.experts);
      p.loads.insert(p.loads.end(), row.begin(), row.end());
    }
    if (i % 3 == 0) {
      for (int l = 0; l < 2; ++l)
        for (std::int32_t k = 0; k < p.experts; ++k) p.previous.push_back((k * 1 + l) % p.experts);
    }
    shunt::quotas const solver{.cap = {.numerator = i % 4 == 0 ? 5 : 4, .denominator = 4}};
    auto const answer = solver(p);
    auto const found = shunt::check(p, answer.plan, solver.cap.numerator, solver.cap.denominator);
    ASSERT_TRUE(found.empty()) << "case " << i << ": " << to_string(found[0]);
    EXPECT_EQ(answer, solver(p));
    EXPECT_GE(answer.objective, answer.lower_bound);
    EXPECT_EQ(answer.status == status::optimal, answer.objective == answer.lower_bound);
  }
}

TEST(quotas, recorded_loads_need_few_copies) {
  for (auto const& [file, ranks] : {std::pair{"esft_translation.csv", 16},
                                    std::pair{"esft_law.csv", 8}, std::pair{"zipf12.csv", 16}}) {
    auto const p = recorded(file, std::string(file) == "zipf12.csv" ? 16 : 64, ranks);
    auto const plan = shunt::quotas{}(p).plan;
    EXPECT_TRUE(shunt::check(p, plan).empty());
    for (layer_id l : shunt::ids<layer_id>(p.layers)) {
      EXPECT_LE(plan.layer(l).size(), static_cast<std::size_t>(ranks - 1));
      std::vector<int> hosted(static_cast<std::size_t>(ranks), 0);
      for (auto const& c : plan.layer(l)) EXPECT_LE(++hosted[c.rank.index()], 2);
    }
  }
}

TEST(quotas, sixteen_full_ranks_and_sixteen_empty_ones_need64_copies) {
  // 16 ranks with 8 experts of 2 tokens, 16 live ranks whose only expert has none; slots: 8 and 1
  expert_layers p{.layers = 1, .experts = 144, .loads = {}, .slots_per_rank = {}};
  for (int r = 0; r < 32; ++r) p.slots_per_rank.push_back(r < 16 ? 8 : 1);
  for (int e = 0; e < 144; ++e) p.loads.push_back(e < 128 ? 2 : 0);
  auto const answer = shunt::quotas{}(p);
  EXPECT_TRUE(shunt::check(p, answer.plan).empty());
  EXPECT_EQ(answer.objective, 64);
  EXPECT_EQ(answer.status, status::optimal);
}

TEST(quotas, bad_input_is_named) {
  expert_layers const good{.experts = 2, .loads = {3, 1}, .slots_per_rank = {1, 1}};
  auto bad = good;
  bad.slots_per_rank = {2, 1};
  EXPECT_EQ(field_of([&] { (void)shunt::quotas{}(bad); }), "slots_per_rank");
  bad = good;
  bad.previous = {0, 0};
  EXPECT_EQ(field_of([&] { (void)shunt::quotas{}(bad); }), "previous[0][1]");
  EXPECT_EQ(field_of([&] { (void)shunt::quotas{.cap = {1, 2}}(good); }), "cap");
}

}  // namespace
}  // namespace shunt::tests::quotas_test
