#include <gtest/gtest.h>

#include <vector>

#include "shunt/check/token_split.hpp"

namespace shunt::tests::token_split_test {
namespace {

TEST(token_split, finds_what_is_wrong) {
  using kind = shunt::split_violation::kind;
  routed_tokens const p{.experts = 2,
                        .counts = {4, 1, 2, 2},
                        .first_slot = {0, 2, 3},
                        .expert_of = {0, 0, 1},
                        .capacity = 3};
  token_split const good{.sources = 2,
                         .slots = 3,
                         .experts = 2,
                         .tokens = {2, 2, 1, 1, 1, 2},
                         .dropped = {0, 0, 0, 0}};
  EXPECT_TRUE(shunt::check(p, good).empty());
  auto bad = good;
  bad.sent(0, 0) = 1;
  EXPECT_EQ(shunt::check(p, bad),
            (std::vector<shunt::split_violation>{
                {.what = kind::not_conserved, .source = 0, .expert = 0, .found = 3, .wanted = 4}}));
  EXPECT_EQ(to_string(shunt::check(p, bad)[0]),
            "source 0, expert 0, sent and dropped: found 3, wanted 4");
  bad.drops(0, 0) = 1;
  EXPECT_EQ(
      shunt::check(p, bad),
      (std::vector<shunt::split_violation>{
          {.what = kind::dropped_with_room, .slot = 0, .expert = 0, .found = 2, .wanted = 3}}));
  EXPECT_EQ(to_string(shunt::check(p, bad)[0]),
            "expert 0 drops tokens while slot 0 has room: found 2, wanted 3");
  bad = good;
  bad.sent(1, 0) = 2;
  bad.sent(1, 1) = 0;
  EXPECT_EQ(shunt::check(p, bad),
            (std::vector<shunt::split_violation>{
                {.what = kind::over_capacity, .slot = 0, .found = 4, .wanted = 3}}));
  EXPECT_EQ(to_string(shunt::check(p, bad)[0]), "slot 0, tokens: found 4, wanted 3");
  bad = good;
  bad.sent(1, 0) = 3;
  bad.sent(1, 1) = -1;
  EXPECT_EQ(shunt::check(p, bad)[0],
            (shunt::split_violation{.what = kind::negative, .source = 1, .slot = 1, .found = -1}));
  EXPECT_EQ(to_string(shunt::check(p, bad)[0]), "source 1, slot 1: found -1, wanted 0");
  bad = good;
  bad.drops(0, 1) = -1;
  EXPECT_EQ(to_string(shunt::check(p, bad)[0]),
            "source 0, dropped of expert 1: found -1, wanted 0");
  bad = good;
  bad.tokens.pop_back();
  ASSERT_EQ(shunt::check(p, bad).size(), 1u);
  EXPECT_EQ(to_string(shunt::check(p, bad)[0]), "shape: found 5, wanted 6");
  EXPECT_EQ(shunt::check(p, token_split{}).size(), 5u);
}

}  // namespace
}  // namespace shunt::tests::token_split_test
