#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <random>
#include <vector>

#include "shunt/solve/experts/search/placement_search.hpp"
#include "shunt/solve/experts/search/sorting_network.hpp"
#include "shunt/solve/experts/search/swap_search.hpp"
#include "shunt/solve/experts/search/threshold_packing.hpp"

// The parts of the search of `balanced`, each against something plain.

namespace {

std::uint64_t below(std::mt19937_64& random, std::uint64_t bound) { return random() % bound; }

TEST(SortingNetwork, SortsAnyLength) {
  std::mt19937_64 random(1);
  for (int i = 0; i < 2000; ++i) {
    auto const n = static_cast<std::size_t>(below(random, 90));
    std::vector<std::uint64_t> keys(std::max<std::size_t>(n, 64));
    for (std::size_t k = 0; k < n; ++k) keys[k] = i % 3 == 0 ? below(random, 5) : random();
    auto sorted = keys;
    sorted.resize(n);
    std::sort(sorted.begin(), sorted.end());
    shunt::detail::sort_keys(keys.data(), n);
    keys.resize(n);
    ASSERT_EQ(keys, sorted) << n;
  }
}

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

TEST(ThresholdPacking, FindsAPackingWhereThereIsOne) {
  std::mt19937_64 random(2);
  int found = 0, none = 0;
  for (int i = 0; i < 1500; ++i) {
    std::vector<std::int32_t> slots;
    std::size_t sum = 0;
    for (auto ranks = 1 + below(random, 4); ranks > 0; --ranks)
      sum += static_cast<std::size_t>(slots.emplace_back(1 + below(random, 3)));
    std::vector<std::int64_t> weights;
    std::int64_t total = 0;
    for (auto experts = 1 + below(random, std::min<std::uint64_t>(sum, 5)); experts > 0; --experts)
      total += weights.emplace_back(below(random, 1000));
    std::sort(weights.begin(), weights.end(), std::greater<>{});
    auto const ranks = static_cast<std::int64_t>(slots.size());
    std::int64_t const threshold =
        1 + total / ranks +
        static_cast<std::int64_t>(below(random, static_cast<std::uint64_t>(total / 4 + 1)));
    std::size_t const spare = sum - weights.size();

    shunt::threshold_packing packing(slots);
    std::int64_t steps = 0;
    auto const sound = [&](shunt::threshold_packing const& p) {
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

TEST(ThresholdPacking, StopsWithItsEffort) {
  std::vector<std::int64_t> weights;
  for (std::int64_t e = 0; e < 20; ++e) weights.push_back(100'000 - 3'571 * e);
  std::int64_t total = 0;
  for (auto const w : weights) total += w;
  shunt::threshold_packing packing(std::vector<std::int32_t>(8, 5));
  std::int64_t steps = 0;
  EXPECT_FALSE(packing(
      weights, 0, 0, 20, total / 8 + 1, steps, 5'000, [](auto const&) { return false; },
      [] { return false; }));
  EXPECT_FALSE(packing.exhausted());
  EXPECT_LT(steps, 5'100);
}

TEST(RankSwaps, NeverMakeTheFullestFullerAndKeepEveryReplica) {
  std::mt19937_64 random(3);
  int relieved = 0;
  for (int i = 0; i < 1000; ++i) {
    auto const experts = static_cast<std::size_t>(4 + below(random, 12));
    std::vector<std::int32_t> slots;
    for (auto ranks = 2 + below(random, 5); ranks > 0; --ranks)
      slots.push_back(static_cast<std::int32_t>(1 + below(random, 4)));
    std::vector<std::int64_t> share, load(slots.size(), 0);
    for (std::size_t e = 0; e < experts; ++e)
      share.push_back(static_cast<std::int64_t>(below(random, 1000)));
    shunt::rank_swaps swaps(experts, slots);
    swaps.clear();
    std::vector<std::size_t> before;
    for (std::size_t r = 0; r < slots.size(); ++r) {
      auto e = static_cast<std::size_t>(below(random, experts));
      for (std::int32_t k = 0; k < slots[r]; ++k, e = (e + 1) % experts) {
        swaps.put(r, e, share[e]);
        load[r] += share[e];
        before.push_back(e);
      }
    }
    auto const most = *std::max_element(load.begin(), load.end());
    std::int64_t steps = 0;
    auto const top = swaps(share, 0, most, steps);
    std::vector<std::size_t> after(swaps.held().begin(), swaps.held().end());
    std::int64_t fullest = 0;
    std::size_t at = 0;
    for (auto const s : slots) {
      std::vector<std::size_t> held(after.begin() + static_cast<std::ptrdiff_t>(at),
                                    after.begin() + static_cast<std::ptrdiff_t>(at) + s);
      at += held.size();
      std::int64_t sum = 0;
      for (auto const e : held) sum += share[e];
      fullest = std::max(fullest, sum);
      std::sort(held.begin(), held.end());
      EXPECT_TRUE(std::adjacent_find(held.begin(), held.end()) == held.end());
    }
    EXPECT_EQ(top, fullest);
    EXPECT_LE(top, most);
    std::sort(before.begin(), before.end());
    std::sort(after.begin(), after.end());
    EXPECT_EQ(before, after);
    relieved += top < most;
  }
  EXPECT_GT(relieved, 500);
}

TEST(PlacementSearch, TakesAnyShape) {
  std::mt19937_64 random(5);
  for (int i = 0; i < 300; ++i) {
    auto const experts = 1 + static_cast<std::int32_t>(below(random, 9));
    std::vector<std::int32_t> slots;
    std::int32_t sum = 0;
    while (sum < experts || below(random, 3) != 0)
      sum += slots.emplace_back(
          1 + static_cast<std::int32_t>(below(random, static_cast<std::uint64_t>(experts))));
    std::vector<std::int64_t> loads;
    for (std::int32_t e = 0; e < experts; ++e)
      loads.push_back(static_cast<std::int64_t>(below(random, i % 3 == 0 ? 3 : 1000)));
    shunt::placement_search search(experts, slots);
    if (!search(loads, 3'000, 1, 1)) continue;
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
TEST(PlacementSearch, PacksSkewedLayers) {
  std::mt19937_64 random(4);
  for (int i = 0; i < 20; ++i) {
    std::vector<std::int64_t> loads(32, 0);
    for (std::size_t e = 0; e < 32; ++e)
      loads[e] =
          static_cast<std::int64_t>(e < 5 ? 20'000 + below(random, 90'000) : below(random, 40));
    shunt::placement_search search(32, std::vector<std::int32_t>(16, 4));
    ASSERT_TRUE(search(loads, 150'000, 1.0001, 1));
    EXPECT_LT(search.fullest(), 1.06) << "case " << i;
    EXPECT_LE(search.steps(), 250'000);
  }
}

}  // namespace
