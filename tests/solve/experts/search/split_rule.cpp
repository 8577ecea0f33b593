#include <gtest/gtest.h>

#include <cstdint>

#include "shunt/solve/experts/search/split_rule.hpp"

namespace shunt::tests::split_rule_test {
namespace {

using namespace detail;

TEST(split_rule, rows_are_rounded_up_to_eight_sources) {
  EXPECT_EQ(row_width(1), 8);
  EXPECT_EQ(row_width(8), 8);
  EXPECT_EQ(row_width(9), 16);
}

TEST(split_rule, quotients_by_a_guess_are_exact) {
  for (std::int64_t const d : {1, 3, 7, 1000, 123'456'789})
    for (std::int64_t const q : {0, 1, 6, 1'000'003, 2'000'000'000})
      for (std::int64_t const rest : {std::int64_t{0}, d - 1}) {
        std::int64_t const n = q * d + rest;
        if (n >= std::int64_t{1} << 62) continue;
        EXPECT_EQ(floor_of(n, d, 1.0 / static_cast<double>(d)), n / d) << n << " / " << d;
      }
}

}  // namespace
}  // namespace shunt::tests::split_rule_test
