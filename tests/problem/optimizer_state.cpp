#include <gtest/gtest.h>

#include <cstdint>
#include <limits>
#include <string>

#include "shunt/problem/optimizer_state.hpp"
#include "shunt/solve/shards/cut_shards.hpp"
#include "support/refusals.hpp"

namespace shunt::tests::optimizer_state_test {
namespace {

TEST(optimizer_state, a_bad_one_is_named) {
  auto const solved = [](optimizer_state const& p) {
    return [p] { (void)shunt::uniform_shards{}(p); };
  };
  EXPECT_EQ(field_of(solved({})), "nothing thrown");
  EXPECT_EQ(field_of(solved({.experts = 0})), "experts");
  EXPECT_EQ(field_of(solved({.ranks = -1})), "ranks");
  EXPECT_EQ(field_of(solved({.elements = 0})), "elements");
  EXPECT_EQ(field_of(solved({.gradient_bytes = 0})), "gradient_bytes");
  EXPECT_EQ(field_of(solved({.weight_bytes = -4})), "weight_bytes");
  std::string text;
  EXPECT_EQ(field_of(solved({.state_bytes = 0}), &text), "state_bytes");
  EXPECT_EQ(text, "state_bytes: must be at least 1, is 0");
  EXPECT_EQ(
      field_of(solved({.experts = 2, .elements = std::numeric_limits<std::int64_t>::max() / 2})),
      "elements");
}

}  // namespace
}  // namespace shunt::tests::optimizer_state_test
