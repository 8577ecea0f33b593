#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <random>
#include <vector>

#include "shunt/solve/experts/search/threshold_packing.hpp"
#include "support/random_cases.hpp"

namespace shunt::tests::threshold_packing_test {
namespace {

using namespace detail;

/// All counts and all sets of ranks, one expert after the other.
bool packs(std::vector<std::int64_t> const& weights, std::size_t e, std::vector<std::int32_t> free,
           std::vector<std::int64_t> load, std::size_t spare, std::int64_t threshold) {
  if (e == weights.size()) return true;
  for (unsigned set = 1; set < 1U << free.size(); ++set) {
    auto const copies = static_cast<std::size_t>(__builtin_popcount(set));
    if (copies > spare + 1) continue;
    auto left = free;
    auto then = load;
    bool fits = true;
    for (std::size_t r = 0; r < free.size(); ++r) {
      if ((set >> r & 1) == 0) continue;
      then[r] += weights[e] / static_cast<std::int64_t>(copies);
      fits = fits && left[r]-- > 0 && then[r] <= threshold;
    }
    if (fits && packs(weights, e + 1, left, then, spare + 1 - copies, threshold)) return true;
  }
  return false;
}

TEST(threshold_packing, finds_a_packing_where_there_is_one) {
  std::mt19937_64 random(2);
  int found = 0, none = 0;
  for (int i = 0; i < 1500; ++i) {
    std::vector<std::int32_t> slots;
    std::size_t sum = 0;
    for (auto ranks = 1 + below(random, 4); ranks > 0; --ranks)
      sum += static_cast<std::size_t>(slots.emplace_back(1 + below(random, 3)));
    std::vector<std::int64_t> weights;
    std::int64_t total = 0;
    for (auto experts =
             1 + below(random, static_cast<std::int64_t>(std::min<std::uint64_t>(sum, 5)));
         experts > 0; --experts)
      total += weights.emplace_back(below(random, 1000));
    std::sort(weights.begin(), weights.end(), std::greater<>{});
    auto const ranks = static_cast<std::int64_t>(slots.size());
    std::int64_t const threshold =
        1 + total / ranks +
        static_cast<std::int64_t>(below(random, static_cast<std::int64_t>(total / 4 + 1)));
    std::size_t const spare = sum - weights.size();

    threshold_packing packing(slots);
    std::int64_t steps = 0;
    auto const sound = [&](threshold_packing const& p) {
      auto free = slots;
      std::vector<std::int64_t> load(slots.size(), 0);
      std::size_t replicas = 0;
      for (std::size_t e = 0; e < weights.size(); ++e) {
        std::vector<std::size_t> hosts;
        for (std::size_t k = 0; k < p.copies(e); ++k) hosts.push_back(p.rank(e, k));
        for (auto const r : hosts) {
          --free[r];
          load[r] += weights[e] / static_cast<std::int64_t>(hosts.size());
        }
        std::sort(hosts.begin(), hosts.end());
        EXPECT_TRUE(std::adjacent_find(hosts.begin(), hosts.end()) == hosts.end())
            << "an expert twice on a rank";
        replicas += hosts.size();
      }
      EXPECT_GE(*std::min_element(free.begin(), free.end()), 0);
      EXPECT_LE(*std::max_element(load.begin(), load.end()), threshold);
      EXPECT_LE(replicas, weights.size() + spare);
      return true;
    };
    bool const answer =
        packing(weights, 0, 0, spare, threshold, steps, 1 << 30, sound, [] { return false; });
    ASSERT_TRUE(packing.exhausted());
    ASSERT_EQ(answer, packs(weights, 0, slots, std::vector<std::int64_t>(slots.size(), 0), spare,
                            threshold))
        << "case " << i;
    ++(answer ? found : none);
  }
  EXPECT_GT(found, 100);
  EXPECT_GT(none, 100);
}

TEST(threshold_packing, stops_with_its_effort) {
  std::vector<std::int64_t> weights;
  for (std::int64_t e = 0; e < 20; ++e) weights.push_back(100'000 - 3'571 * e);
  std::int64_t total = 0;
  for (auto const w : weights) total += w;
  threshold_packing packing(std::vector<std::int32_t>(8, 5));
  std::int64_t steps = 0;
  EXPECT_FALSE(packing(
      weights, 0, 0, 20, total / 8 + 1, steps, 5'000, [](auto const&) { return false; },
      [] { return false; }));
  EXPECT_FALSE(packing.exhausted());
  EXPECT_LT(steps, 5'100);
}

}  // namespace
}  // namespace shunt::tests::threshold_packing_test
