#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <numeric>
#include <random>
#include <vector>

#include "shunt/solve/assignment.hpp"
#include "support/random_cases.hpp"

namespace shunt::tests::assignment_test {
namespace {

TEST(assignment, equals_every_permutation) {
  std::mt19937_64 random(31);
  shunt::assignment solver;
  for (int i = 0; i < 600; ++i) {
    auto const n = static_cast<std::size_t>(1 + below(random, 6));
    std::int64_t const range = std::int64_t{1} << (1 + below(random, 55));
    std::vector<std::int64_t> gains;
    for (std::size_t k = 0; k < n * n; ++k) gains.push_back(below(random, range) - range / 2);
    auto const column_of = solver(gains, n);
    std::vector<std::size_t> columns(column_of.begin(), column_of.end());
    auto const worth = [&](std::vector<std::size_t> const& c) {
      std::int64_t sum = 0;
      for (std::size_t r = 0; r < n; ++r) sum += gains[r * n + c[r]];
      return sum;
    };
    std::vector<std::size_t> every(n);
    std::iota(every.begin(), every.end(), std::size_t{0});
    EXPECT_TRUE(std::is_permutation(columns.begin(), columns.end(), every.begin(), every.end()));
    std::int64_t best = worth(every);
    while (std::next_permutation(every.begin(), every.end())) best = std::max(best, worth(every));
    EXPECT_EQ(worth(columns), best);
  }
}

TEST(assignment, by_hand_and_large) {
  shunt::assignment solver;
  std::vector<std::int64_t> const gains{7, 5, 3, 8, 6, 1, 9, 2, 2};
  auto const found = solver(gains, 3);
  EXPECT_EQ(std::vector<std::size_t>(found.begin(), found.end()),
            (std::vector<std::size_t>{2, 1, 0}));  // 3 + 6 + 9
  std::size_t const n = 200;
  std::vector<std::int64_t>
      product;  // best is the reverse of the reverse: equal order (rearrangement inequality)
  for (std::size_t r = 0; r < n; ++r)
    for (std::size_t c = 0; c < n; ++c)
      product.push_back(static_cast<std::int64_t>(r * (n - 1 - c)));
  auto const reversed = solver(product, n);
  for (std::size_t r = 0; r < n; ++r) EXPECT_EQ(reversed[r], n - 1 - r);
  std::vector<std::int64_t> const equal(16, 5);
  auto const still = solver(equal, 4);
  EXPECT_EQ(std::vector<std::size_t>(still.begin(), still.end()),
            (std::vector<std::size_t>{0, 1, 2, 3}));
}

}  // namespace
}  // namespace shunt::tests::assignment_test
