#include <gtest/gtest.h>

#include "shunt/check/placement.hpp"
#include "support/expert_problems.hpp"

namespace shunt::tests::placement_test {
namespace {

TEST(placement, finds_what_is_wrong) {
  using kind = shunt::placement_violation::kind;
  auto const problem = one_layer({1, 1, 1}, {2, 2});
  expert_placement const good{
      .layers = 1, .experts = 3, .first_slot = {0, 2, 4}, .expert_of = {0, 1, 2, 0}};
  EXPECT_TRUE(shunt::check(problem, good).empty());
  auto const only = [&](expert_placement const& plan) {
    auto const found = shunt::check(problem, plan);
    EXPECT_EQ(found.size(), 1u);
    return found.at(0);
  };
  auto bad = good;
  bad.expert_of[2] = 1;
  EXPECT_EQ(only(bad), (shunt::placement_violation{.what = kind::no_replica, .expert = 2}));
  EXPECT_EQ(to_string(only(bad)), "layer 0: expert 2 has no slot");
  bad = good;
  bad.expert_of[3] = 3;
  EXPECT_EQ(only(bad), (shunt::placement_violation{
                           .what = kind::unknown_expert, .slot = 3, .found = 3, .wanted = 3}));
  EXPECT_EQ(to_string(only(bad)), "layer 0, slot 3: holds expert 3 of 3");
  bad.expert_of[3] = -1;
  EXPECT_EQ(only(bad).what, kind::unknown_expert);
  bad = good;
  bad.first_slot = {0, 3, 4};
  EXPECT_EQ(shunt::check(problem, bad).size(), 2u);
  EXPECT_EQ(to_string(shunt::check(problem, bad)[0]), "slots of rank 0: found 3, wanted 2");
  bad = good;
  bad.expert_of.pop_back();
  EXPECT_EQ(only(bad).what, kind::slot_count);
  bad = good;
  bad.layers = 2;
  EXPECT_EQ(to_string(only(bad)), "layers: found 2, wanted 1");
  bad = good;
  bad.experts = 4;
  EXPECT_EQ(only(bad).what, kind::expert_count);
  bad = good;
  bad.first_slot.push_back(4);
  EXPECT_EQ(to_string(only(bad)), "ranks: found 3, wanted 2");
  EXPECT_EQ(shunt::check(problem, expert_placement{}).size(), 3u);
  auto dead = problem;  // rank 1 is lost: a slot of its is one too many
  dead.slots_per_rank = {4, 0};
  EXPECT_EQ(to_string(shunt::check(dead, good)[1]), "slots of rank 1: found 2, wanted 0");
}

}  // namespace
}  // namespace shunt::tests::placement_test
