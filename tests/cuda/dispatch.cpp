// Thrust's algorithms over its host system: what is written against a policy needs no GPU to be
// tested.
#include <gtest/gtest.h>
#include <thrust/system/cpp/execution_policy.h>

#include <cstddef>
#include <cstdint>
#include <random>
#include <vector>

#include "shunt/cuda/dispatch.cuh"

namespace shunt::tests::dispatch_test {
namespace {

std::int32_t below(std::mt19937_64& random, std::int32_t bound) {
  return static_cast<std::int32_t>(random() % static_cast<std::uint64_t>(bound));
}

/// Experts on slots at random, shares at random, tokens at random; every token looked for on its
/// own.
TEST(dispatch, TokensFillSlotsInOrder) {
  std::mt19937_64 random(51);
  int drops = 0, empty = 0;
  for (int i = 0; i < 300; ++i) {
    std::int32_t const experts = 1 + below(random, 9), slots = experts + below(random, 9),
                       n = below(random, 200);
    std::vector<std::vector<std::int32_t>> slots_of(static_cast<std::size_t>(experts));
    for (std::int32_t s = 0; s < slots; ++s)
      slots_of[static_cast<std::size_t>(below(random, experts))].push_back(s);
    std::vector<std::int32_t> hosted, hosted_end;
    for (auto const& own : slots_of) {
      hosted.insert(hosted.end(), own.begin(), own.end());
      hosted_end.push_back(static_cast<std::int32_t>(hosted.size()));
    }
    std::vector<std::int64_t> tokens, first_row;
    std::int64_t rows = 0;
    for (std::int32_t s = 0; s < slots; ++s) {
      tokens.push_back(below(random, 20));
      first_row.push_back(rows);
      rows += tokens.back() + below(random, 3);
    }
    std::vector<std::int32_t> expert_of;
    for (std::int32_t t = 0; t < n; ++t) {
      expert_of.push_back(below(random, experts + 1));
      if (below(random, 10) == 0) expert_of.back() -= experts + 1;
    }
    for (auto& e : expert_of)
      if (e >= experts) e = experts - 1;
    auto const count = static_cast<std::size_t>(n), row_count = static_cast<std::size_t>(rows);
    std::vector<std::int32_t> row_of(count, 77), token_of(row_count, 77), order(count),
        first(static_cast<std::size_t>(experts));
    std::vector<std::uint32_t> sorted(count);
    shunt::dispatch_tokens(thrust::cpp::par,
                           shunt::token_dispatch{.n = n,
                                                 .experts = experts,
                                                 .rows = rows,
                                                 .expert_of_token = expert_of.data(),
                                                 .tokens = tokens.data(),
                                                 .hosted = hosted.data(),
                                                 .hosted_end = hosted_end.data(),
                                                 .first_row = first_row.data(),
                                                 .row_of = row_of.data(),
                                                 .token_of = token_of.data(),
                                                 .sorted = sorted.data(),
                                                 .order = order.data(),
                                                 .first = first.data()});

    std::vector<std::int32_t> wanted_token(row_count, -1);
    std::vector<std::int64_t> used(static_cast<std::size_t>(slots), 0);
    for (std::int32_t t = 0; t < n; ++t) {
      std::int64_t row = -1;
      if (auto const e = expert_of[static_cast<std::size_t>(t)]; e >= 0)
        for (auto const s : slots_of[static_cast<std::size_t>(e)])
          if (auto& here = used[static_cast<std::size_t>(s)];
              here < tokens[static_cast<std::size_t>(s)]) {
            row = first_row[static_cast<std::size_t>(s)] + here++;
            break;
          }
      ASSERT_EQ(row_of[static_cast<std::size_t>(t)], row) << "case " << i << " token " << t;
      if (row >= 0) wanted_token[static_cast<std::size_t>(row)] = t;
      drops += row < 0;
    }
    ASSERT_EQ(token_of, wanted_token) << "case " << i;
    for (auto const t : token_of) empty += t < 0;
  }
  EXPECT_GT(drops, 1000);
  EXPECT_GT(empty, 1000);
}

}  // namespace
}  // namespace shunt::tests::dispatch_test
