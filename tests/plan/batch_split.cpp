#include "shunt/plan/batch_split.hpp"

#include <gtest/gtest.h>

namespace shunt::tests::batch_split_test {
namespace {

TEST(batch_split, is_a_value) {
  batch_split const split{{{8, 7}, {3}}};
  auto other = split;
  EXPECT_EQ(other, split);
  other.microbatches[0][1] = 8;
  EXPECT_NE(other, split);
}

}  // namespace
}  // namespace shunt::tests::batch_split_test
