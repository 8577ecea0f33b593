#include <gtest/gtest.h>

#include "shunt/plan/token_split.hpp"

namespace shunt::tests::token_split_test {
namespace {

TEST(token_split, tables_are_rows_of_sources) {
  token_split split{.sources = 2,
                    .slots = 3,
                    .experts = 2,
                    .tokens = {1, 2, 3, 4, 5, 6},
                    .dropped = {7, 8, 9, 10}};
  EXPECT_EQ(split.sent(1, 0), 4);
  EXPECT_EQ(split.sent(0, 2), 3);
  EXPECT_EQ(split.drops(1, 0), 9);
  split.sent(1, 2) = 60;
  split.drops(0, 1) = 80;
  EXPECT_EQ(split.tokens[5], 60);
  EXPECT_EQ(split.dropped[1], 80);
}

}  // namespace
}  // namespace shunt::tests::token_split_test
