#include <gtest/gtest.h>

#include <cstdint>
#include <limits>
#include <string>

#include "shunt/problem/routed_tokens.hpp"
#include "shunt/solve/experts/capacity_split.hpp"
#include "support/refusals.hpp"

namespace shunt::tests::routed_tokens_test {
namespace {

TEST(routed_tokens, slot_capacity_rounds_up) {
  EXPECT_EQ(shunt::slot_capacity(4096, 64), 64);
  EXPECT_EQ(shunt::slot_capacity(4097, 64), 65);
  EXPECT_EQ(shunt::slot_capacity(100, 8, {.numerator = 5, .denominator = 4}), 16);  // 15.625
  EXPECT_EQ(shunt::slot_capacity(0, 8), 0);
  EXPECT_EQ(field_of([] { (void)shunt::slot_capacity(-1, 8); }), "tokens");
  EXPECT_EQ(field_of([] { (void)shunt::slot_capacity(1, 0); }), "slots");
  EXPECT_EQ(field_of([] { (void)shunt::slot_capacity(1, 1, {.numerator = -1}); }), "numerator");
  EXPECT_EQ(field_of([] { (void)shunt::slot_capacity(1, 1, {.denominator = 0}); }), "denominator");
  EXPECT_EQ(field_of([] {
              (void)shunt::slot_capacity(std::numeric_limits<std::int64_t>::max(), 1,
                                         {.numerator = 2});
            }),
            "tokens");
}

TEST(routed_tokens, bad_ones_are_named) {
  routed_tokens const good{
      .experts = 2, .counts = {1, 2, 3, 4}, .first_slot = {0, 1, 2}, .expert_of = {0, 1}};
  auto const solved = [](routed_tokens const& p) {
    return [p] { (void)shunt::capacity_split{}(p); };
  };
  EXPECT_EQ(field_of(solved(good)), "nothing thrown");
  auto bad = good;
  bad.experts = 0;
  EXPECT_EQ(field_of(solved(bad)), "experts");
  bad = good;
  bad.first_slot = {0};
  EXPECT_EQ(field_of(solved(bad)), "first_slot");
  bad.first_slot = {};
  EXPECT_EQ(field_of(solved(bad)), "first_slot");
  bad.first_slot = {1, 1, 2};
  EXPECT_EQ(field_of(solved(bad)), "first_slot[0]");
  bad.first_slot = {0, 3, 2};
  EXPECT_EQ(field_of(solved(bad)), "first_slot[2]");
  bad = good;
  bad.expert_of.push_back(0);
  EXPECT_EQ(field_of(solved(bad)), "expert_of");
  bad = good;
  bad.expert_of[1] = 2;
  std::string text;
  EXPECT_EQ(field_of(solved(bad), &text), "expert_of[1]");
  EXPECT_EQ(text, "expert_of[1]: must be an expert below 2, is 2");
  bad = good;
  bad.counts.pop_back();
  EXPECT_EQ(field_of(solved(bad)), "counts");
  bad = good;
  bad.counts[2] = -1;
  EXPECT_EQ(field_of(solved(bad)), "counts[1][0]");
  bad = good;
  bad.counts = {1 << 30, 0, 1 << 30, 0};
  EXPECT_EQ(field_of(solved(bad), &text), "counts");
  EXPECT_EQ(text, "counts: expert 0 has 2^31 tokens or more");
  bad = good;
  bad.capacity = -1;
  EXPECT_EQ(field_of(solved(bad)), "capacity");
}

}  // namespace
}  // namespace shunt::tests::routed_tokens_test
