#include "shunt/solve/experts/search/claim_noise.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <set>
#include <vector>

namespace shunt::tests::claim_noise_test {
namespace {

TEST(claim_noise, orders_as_it_compares) {
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    auto const noise = detail::claim_noise::of(seed, 3, 1, 2);
    auto const order = noise.order(40);
    for (std::size_t k = 1; k < order.size(); ++k)
      EXPECT_TRUE(noise.before(order[k - 1], order[k])) << k;
    auto sorted = order;
    std::sort(sorted.begin(), sorted.end());
    for (std::size_t k = 0; k < sorted.size(); ++k)
      EXPECT_EQ(sorted[k], static_cast<std::int64_t>(k));
  }
}

TEST(claim_noise, differs_by_seed_iteration_layer_source_and_token) {
  std::set<std::uint64_t> all;
  for (std::uint64_t seed = 0; seed < 4; ++seed)
    for (std::int64_t i = 0; i < 256; ++i)
      all.insert(detail::claim_noise::of(seed, i / 64, i / 16 % 4, i / 4 % 4)(i % 4));
  EXPECT_EQ(all.size(), 1024U);
}

TEST(claim_noise, has_these_bits_on_every_engine) {
  constexpr auto noise = detail::claim_noise::of(1, 2, 3, 4);
  static_assert(noise(5) == 0x379b16ce9a746866);
  EXPECT_EQ(noise.order(8), (std::vector<std::int64_t>{0, 3, 6, 4, 2, 5, 7, 1}));
}

}  // namespace
}  // namespace shunt::tests::claim_noise_test
