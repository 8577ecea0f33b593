#include <gtest/gtest.h>

#include <cstdint>
#include <type_traits>
#include <vector>

#include "shunt/problem/stage_costs.hpp"

namespace shunt::tests::stage_costs_test {
namespace {

TEST(stage_costs, one_value_stands_for_every_stage) {
  per_stage const same = 3, each = {3, 4, 5};
  EXPECT_EQ(same[stage_id{7}], 3);
  EXPECT_EQ(each[stage_id{1}], 4);
  EXPECT_EQ(each.size(), 3u);
  stage_costs const costs{.forward = {1, 2}, .backward_input = 10, .backward_weight = {100, 200}};
  EXPECT_EQ(costs.microbatch(0), 111);
  EXPECT_EQ(costs.microbatch(1), 212);
}

// A fraction would be cut off.
static_assert(!std::is_convertible_v<double, per_stage>);
static_assert(!std::is_constructible_v<per_stage, float>);
static_assert(std::is_convertible_v<int, per_stage>);
static_assert(!std::is_convertible_v<double, transfer_times>);
static_assert(std::is_convertible_v<int, transfer_times>);

TEST(stage_costs, transfers_know_nodes) {
  transfer_times const links(1, 7, 2);
  EXPECT_EQ(links(0, 0), 0);
  EXPECT_EQ(links(0, 1), 1);
  EXPECT_EQ(links(1, 2), 7);
  EXPECT_EQ(transfer_times(4)(0, 5), 4);
  EXPECT_EQ(transfer_times(4)(5, 5), 0);
}

TEST(stage_costs, caps_keep_their_rule_and_limits) {
  EXPECT_EQ(stash_cap::none().rule, stash_cap::kind::none);
  EXPECT_EQ(stash_cap::per_worker(5).limit, 5);
  EXPECT_EQ(stash_cap::per_rank({4, 6}).limits, (std::vector<std::int64_t>{4, 6}));
  EXPECT_NE(stash_cap::one_f_one_b(), stash_cap::none());
}

}  // namespace
}  // namespace shunt::tests::stage_costs_test
