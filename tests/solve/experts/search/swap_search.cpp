#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <random>
#include <vector>

#include "shunt/solve/experts/search/swap_search.hpp"
#include "support/random_cases.hpp"

namespace shunt::tests::swap_search_test {
namespace {

using namespace detail;

TEST(swap_search, never_make_the_fullest_fuller_and_keep_every_replica) {
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
    swap_search swaps(experts, slots);
    swaps.clear();
    std::vector<std::size_t> before;
    for (std::size_t r = 0; r < slots.size(); ++r) {
      auto e = static_cast<std::size_t>(below(random, static_cast<std::int64_t>(experts)));
      for (std::int32_t k = 0; k < slots[r]; ++k, e = (e + 1) % experts) {
        swaps.put(r, e, share[e]);
        load[r] += share[e];
        before.push_back(e);
      }
    }
    auto const most = *std::max_element(load.begin(), load.end());
    std::int64_t steps = 0;
    auto const top = swaps(share, 0, most, steps, std::numeric_limits<std::int64_t>::max());
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

}  // namespace
}  // namespace shunt::tests::swap_search_test
