#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <random>
#include <vector>

#include "shunt/solve/experts/search/rank_relabelling.hpp"
#include "support/random_cases.hpp"

namespace shunt::tests::rank_relabelling_test {
namespace {

using namespace detail;

TEST(rank_relabelling, has_the_largest_gain_of_all_dealings) {
  std::mt19937_64 random(51);
  for (int i = 0; i < 200; ++i) {
    expert_layers p{.experts = 1, .loads = {1}};
    auto const ranks = static_cast<std::size_t>(1 + below(random, 6));
    for (std::size_t r = 0; r < ranks; ++r)
      p.slots_per_rank.push_back(static_cast<std::int32_t>(1 + below(random, 2)));
    std::vector<std::int64_t> gains(ranks * ranks);
    for (auto& g : gains) g = below(random, 30);
    auto const sum = [&](auto const& row_of) {
      std::int64_t all = 0;
      for (std::size_t r = 0; r < ranks; ++r) all += gains[row_of[r] * ranks + r];
      return all;
    };
    std::vector<std::size_t> row(ranks);
    std::iota(row.begin(), row.end(), std::size_t{0});
    std::int64_t best = 0;
    do {
      bool fits = true;
      for (std::size_t r = 0; r < ranks; ++r)
        fits = fits && p.slots_per_rank[r] == p.slots_per_rank[row[r]];
      if (fits) best = std::max(best, sum(row));
    } while (std::next_permutation(row.begin(), row.end()));
    rank_relabelling relabel(p);
    auto const found =
        relabel([&](std::size_t from, std::size_t to) { return gains[from * ranks + to]; });
    EXPECT_EQ(sum(found), best);
    for (std::size_t r = 0; r < ranks; ++r)
      EXPECT_EQ(p.slots_per_rank[r], p.slots_per_rank[found[r]]);
  }
}

TEST(rank_relabelling, everything_stays_where_nothing_gains) {
  rank_relabelling relabel({.experts = 1, .loads = {1}, .slots_per_rank = {2, 2, 2}});
  auto const found = relabel([](std::size_t, std::size_t) { return std::int64_t{4}; });
  EXPECT_EQ(std::vector<std::size_t>(found.begin(), found.end()),
            (std::vector<std::size_t>{0, 1, 2}));
}

}  // namespace
}  // namespace shunt::tests::rank_relabelling_test
