#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <random>
#include <utility>
#include <vector>

#include "shunt/solve/experts/search/placement_search.hpp"
#include "support/expert_problems.hpp"
#include "support/random_cases.hpp"

namespace shunt::tests::placement_search_test {
namespace {

using namespace detail;

TEST(placement_search, takes_any_shape) {
  std::mt19937_64 random(5);
  for (int i = 0; i < 300; ++i) {
    auto const experts = 1 + static_cast<std::int32_t>(below(random, 9));
    std::vector<std::int32_t> slots;
    std::int32_t sum = 0;
    while (sum < experts || below(random, 3) != 0)
      sum += slots.emplace_back(
          1 + static_cast<std::int32_t>(below(random, static_cast<std::int64_t>(experts))));
    std::vector<std::int64_t> loads;
    for (std::int32_t e = 0; e < experts; ++e)
      loads.push_back(static_cast<std::int64_t>(below(random, i % 3 == 0 ? 3 : 1000)));
    placement_search search(experts, slots);
    if (!search(loads, 3'000, 1, 1, 1)) continue;
    std::vector<int> held(static_cast<std::size_t>(experts), 0);
    std::size_t at = 0;
    for (auto const s : slots) {
      std::vector<std::size_t> rank(search.placed().begin() + static_cast<std::ptrdiff_t>(at),
                                    search.placed().begin() + static_cast<std::ptrdiff_t>(at) + s);
      at += rank.size();
      for (auto const e : rank) ++held[e];
      std::sort(rank.begin(), rank.end());
      ASSERT_TRUE(std::adjacent_find(rank.begin(), rank.end()) == rank.end());
    }
    ASSERT_GE(*std::min_element(held.begin(), held.end()), 1);
  }
}

/// Five large experts and 27 that got next to nothing: swaps and walks alone stay up to 1.3.
TEST(placement_search, packs_skewed_layers) {
  std::mt19937_64 random(4);
  for (int i = 0; i < 20; ++i) {
    std::vector<std::int64_t> loads(32, 0);
    for (std::size_t e = 0; e < 32; ++e)
      loads[e] =
          static_cast<std::int64_t>(e < 5 ? 20'000 + below(random, 90'000) : below(random, 40));
    placement_search search(32, std::vector<std::int32_t>(16, 4));
    ASSERT_TRUE(search(loads, 150'000, 1.0001, 1.0001, 1));
    EXPECT_LT(search.fullest(), 1.06) << "case " << i;
    EXPECT_LE(search.steps(), 250'000);
  }
}

/// Zipf loads, shuffled and with noise: greedy counts make more large shares than there are ranks.
TEST(placement_search, places_zipf_layers) {
  std::mt19937_64 random(6);
  for (double const exponent : {1.0, 1.2, 1.5})
    for (int i = 0; i < 8; ++i) {
      std::vector<std::int64_t> loads;
      for (int e = 1; e <= 256; ++e)
        loads.push_back(static_cast<std::int64_t>(1e4 * std::pow(e, -exponent)) *
                        (90 + below(random, 21)));
      for (std::size_t e = 256; e-- > 1;)
        std::swap(loads[e],
                  loads[static_cast<std::size_t>(below(random, static_cast<std::int64_t>(e) + 1))]);
      placement_search search(256, std::vector<std::int32_t>(32, 9));
      ASSERT_TRUE(search(loads, 150'000, 1.0001, 1.0001, 1));
      EXPECT_LE(search.fullest(), exponent < 1.5 ? 1.001 : 1.01) << exponent << " case " << i;
    }
}

TEST(placement_search, more_effort_is_never_worse) {
  std::mt19937_64 random(7);
  int better = 0;
  for (int i = 0; i < 60; ++i) {
    auto const experts = static_cast<std::int32_t>(2 + below(random, 30)),
               ranks = static_cast<std::int32_t>(2 + below(random, 14));
    auto const each = std::min<std::int32_t>(
        experts, (experts + ranks - 1) / ranks + static_cast<std::int32_t>(below(random, 3)));
    auto const loads = random_loads(random, experts);
    placement_search search(experts,
                            std::vector<std::int32_t>(static_cast<std::size_t>(ranks), each));
    double best = 1e300;
    for (std::int64_t effort = below(random, 50); effort < 200'000;
         effort += 1 + effort / 2 + below(random, 1 + effort)) {
      ASSERT_TRUE(search(loads, effort, 1, 1, 1));
      EXPECT_LE(search.fullest(), best) << "case " << i << ", effort " << effort;
      better += search.fullest() < best && best < 1e300;
      best = search.fullest();
    }
  }
  EXPECT_GT(better, 60);
}

/// A node with next to no tokens beside a full one: any placement of it is good enough.
TEST(placement_search, takes_any_goal) {
  placement_search search(3, {2, 2});
  ASSERT_TRUE(search(std::vector<std::int64_t>{1, 0, 0}, 1000, 1, 4.9e19, 1));
  ASSERT_TRUE(search(std::vector<std::int64_t>{0, 0, 0}, 1000, 1, 4.9e19, 1));
  EXPECT_LE(search.steps(), 1000);
}

}  // namespace
}  // namespace shunt::tests::placement_search_test
