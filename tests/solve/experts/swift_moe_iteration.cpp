#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <random>
#include <vector>

#include "shunt/check/program.hpp"
#include "shunt/check/token_split.hpp"
#include "shunt/solve/experts/capacity_split.hpp"
#include "shunt/solve/experts/eplb.hpp"
#include "shunt/solve/experts/swift_moe.hpp"
#include "shunt/solve/experts/swift_moe_iteration.hpp"
#include "shunt/solve/experts/uniform.hpp"
#include "support/random_cases.hpp"
#include "support/refusals.hpp"
#include "support/routed_iterations.hpp"

namespace shunt::tests::swift_moe_iteration_test {
namespace {

TEST(swift_moe_iteration, decides_what_the_solvers_decide) {
  std::mt19937_64 random(34);
  for (int i = 0; i < 200; ++i) {
    auto const layers = static_cast<std::int32_t>(1 + below(random, 4)),
               experts = static_cast<std::int32_t>(1 + below(random, 7)),
               ranks = static_cast<std::int32_t>(1 + below(random, 17));
    auto const slots = random_ranks(random, ranks, experts);
    auto now = random_placement_in_order_or_none(random, layers, experts, slots);
    auto const capacity = below(random, 2) == 0 ? shunt::dropless : below(random, 200);
    shunt::swift_moe_iteration iteration(now, capacity);
    std::vector<std::int64_t const*> memory;
    for (int t = 0; t < 4; ++t) {
      std::vector<std::int64_t> counts;
      auto const one_has_all = below(random, 5) == 0;
      for (std::int32_t c = 0; c < layers * ranks * experts; ++c)
        counts.push_back(one_has_all && c % experts != 0 ? 0
                                                         : below(random, 1 + below(random, 200)));
      iteration(counts);
      shunt::expert_layers next{
          .layers = layers,
          .experts = experts,
          .loads = std::vector<std::int64_t>(static_cast<std::size_t>(layers * experts), 0),
          .slots_per_rank = slots};
      auto const width = static_cast<std::size_t>(ranks * experts);
      for (std::size_t c = 0; c < counts.size(); ++c)
        next.loads[c / width * static_cast<std::size_t>(experts) +
                   c % static_cast<std::size_t>(experts)] += counts[c];
      for (layer_id l : shunt::ids<layer_id>(layers)) {
        auto const first = counts.begin() + static_cast<std::ptrdiff_t>(l.index() * width);
        auto const p =
            shunt::routed(now, l, {first, first + static_cast<std::ptrdiff_t>(width)}, capacity);
        ASSERT_TRUE(shunt::check(p, iteration.splits()[l.index()]).empty()) << "case " << i;
        ASSERT_EQ(iteration.splits()[l.index()], shunt::capacity_split{}(p).plan) << "case " << i;
        auto const* const at = iteration.splits()[l.index()].tokens.data();
        if (t == 0)
          memory.push_back(at);
        else
          ASSERT_EQ(at, memory[l.index()]);  // no new memory
      }
      now = shunt::swift_moe{}(next).plan;
      ASSERT_EQ(iteration.placement(), now) << "case " << i;
    }
  }
}

TEST(swift_moe_iteration, takes_the_placement_of_any_solver) {
  std::mt19937_64 random(35);
  shunt::expert_layers layers{.layers = 3,
                              .experts = 7,
                              .loads = std::vector<std::int64_t>(21, 0),
                              .slots_per_rank = {3, 2, 0, 4, 3}};
  auto const first = shunt::uniform{}(layers).plan;
  shunt::swift_moe_iteration by_eplb(first), by_swift_moe(first), plain(first);
  for (int t = 0; t < 5; ++t) {
    std::vector<std::int64_t> counts;
    for (int c = 0; c < 3 * 5 * 7; ++c) counts.push_back(below(random, 100));
    std::fill(layers.loads.begin(), layers.loads.end(), 0);
    for (std::size_t c = 0; c < counts.size(); ++c) layers.loads[c / 35 * 7 + c % 7] += counts[c];
    by_eplb(counts, shunt::eplb{});
    EXPECT_EQ(by_eplb.placement(), shunt::eplb{}(layers).plan);
    by_swift_moe(counts, shunt::swift_moe{});
    plain(counts);
    EXPECT_EQ(by_swift_moe.placement(), plain.placement());
    EXPECT_TRUE(std::ranges::equal(by_swift_moe.splits(), plain.splits()));
  }
  std::vector<std::int64_t> const none(3 * 5 * 7, 0);
  auto const taken = [&](auto const& change) {
    return thrown_by([&] {
      plain(none, [&](shunt::expert_layers const& p) {
        EXPECT_EQ(p.previous, plain.placement().expert_of);
        auto answer = shunt::uniform{}(p);
        change(answer);
        return answer;
      });
    });
  };
  EXPECT_EQ(taken([](auto&) {}), "nothing thrown");
  EXPECT_EQ(taken([](auto& a) { a.plan.first_slot.back() += 1; }),
            "placement: the next one has other slots than the one before");
  EXPECT_EQ(taken([](auto& a) {
              a.status = shunt::status::infeasible;
              a.reason = "no room";
            }),
            "placement: no room");
}

TEST(swift_moe_iteration, names_what_is_wrong) {
  expert_placement const good{
      .layers = 1, .experts = 2, .first_slot = {0, 1, 3}, .expert_of = {0, 1, 1}};
  auto const made = [](expert_placement const& p, std::int64_t capacity) {
    return thrown_by([&] { shunt::swift_moe_iteration made_for(p, capacity); });
  };
  EXPECT_EQ(made(good, 0), "nothing thrown");
  EXPECT_EQ(made(good, -1), "capacity: must be at least 0, is -1");
  auto bad = good;
  bad.layers = 0;
  EXPECT_EQ(made(bad, 0), "placement.layers: must be at least 1, is 0");
  bad = good;
  bad.experts = -3;
  EXPECT_EQ(made(bad, 0), "placement.experts: must be at least 1, is -3");
  bad = good;
  bad.first_slot = {};
  EXPECT_EQ(made(bad, 0), "placement.first_slot: names no rank");
  bad = good;
  bad.expert_of = {0, 0, 0};
  EXPECT_EQ(made(bad, 0), "placement[0]: expert 1 has no slot");
  bad.expert_of = {0, 1};
  EXPECT_EQ(made(bad, 0), "placement.expert_of: has 2 values for 1 layers x 3 slots");
  bad.expert_of = {0, 1, 2};
  EXPECT_EQ(made(bad, 0), "expert_of[2]: must be an expert below 2, is 2");

  shunt::swift_moe_iteration iteration(good);
  auto const given = [&](std::vector<std::int64_t> const& counts) {
    return thrown_by([&] { iteration(counts); });
  };
  EXPECT_EQ(given({1, 2, 3}), "counts: has 3 values for 1 layers x 2 ranks x 2 experts");
  EXPECT_EQ(given({1, 2, -3, 4}), "counts[0][1][0]: must be at least 0 and below 2^31, is -3");
  EXPECT_EQ(given({1, std::int64_t{1} << 30, 0, std::int64_t{1} << 30}),
            "counts[0]: expert 1 has 2^31 tokens or more");
  EXPECT_EQ(iteration.placement(), good);
  EXPECT_EQ(given({1, std::int64_t{1} << 30, 0, 4}), "nothing thrown");
  EXPECT_EQ(iteration.splits()[0].sent(0, 1),
            (std::int64_t{1} << 29) - 2);  // rank 1 fills its first slot with its own four
}

}  // namespace
}  // namespace shunt::tests::swift_moe_iteration_test
