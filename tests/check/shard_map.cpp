#include <gtest/gtest.h>

#include <utility>
#include <vector>

#include "shunt/check/program.hpp"
#include "shunt/check/shard_map.hpp"
#include "shunt/solve/shards/cut_shards.hpp"
#include "support/text.hpp"

namespace shunt::tests::shard_map_test {
namespace {

TEST(shard_map, shards_with_wrong_mirrors_are_found) {
  optimizer_state const state{.experts = 1, .ranks = 3, .elements = 9};
  auto plan = mirrored_shards{.copies = 2}(state).plan;
  plan.shards[0][1].mirrors = {1, 2, 2, 7};
  EXPECT_EQ(lines(check(state, plan)),
            "expert 0, shard 1: mirror 1 of 3 ranks isn't one, or holds it already\n"
            "expert 0, shard 1: mirror 2 of 3 ranks isn't one, or holds it already\n"
            "expert 0, shard 1: mirror 7 of 3 ranks isn't one, or holds it already\n");
}

TEST(shard_map, finds_what_is_wrong) {
  using kind = shunt::shard_violation::kind;
  optimizer_state const p{.experts = 1, .ranks = 2, .elements = 10};
  auto const found = [&](std::vector<shard> shards) {
    std::vector<kind> kinds;
    for (auto const& v : shunt::check(p, shard_map{.elements = 10, .shards = {std::move(shards)}}))
      kinds.push_back(v.what);
    return kinds;
  };
  using kinds = std::vector<kind>;
  EXPECT_EQ(found({{0, 0, 4}, {1, 4, 10}}), kinds{});
  EXPECT_EQ(found({{0, 0, 4}, {2, 4, 10}}), kinds{kind::unknown_owner});
  EXPECT_EQ(found({{0, 0, 4}, {1, 5, 10}}), kinds{kind::gap});
  EXPECT_EQ(found({{0, 0, 4}, {1, 3, 10}}), kinds{kind::overlap});
  EXPECT_EQ(found({{0, 0, 4}, {1, 4, 9}}), kinds{kind::gap});
  EXPECT_EQ(found({{0, 0, 4}, {1, 4, 11}}), kinds{kind::overlap});
  EXPECT_EQ(found({{0, 0, 4}, {1, 4, 4}, {1, 4, 10}}), kinds{kind::empty_shard});
  EXPECT_EQ(found({{1, 4, 10}, {0, 0, 4}}), (kinds{kind::gap, kind::overlap, kind::gap}));
  EXPECT_EQ(found({}), kinds{kind::gap});
  auto const gap = shunt::check(p, shard_map{.elements = 10, .shards = {{{0, 0, 4}, {1, 5, 10}}}});
  EXPECT_EQ(to_string(gap.at(0)),
            "expert 0, shard 1, elements left out before it: found 5, wanted 4");
  auto const empty = shunt::check(p, shard_map{});
  ASSERT_EQ(empty.size(), 2u);
  EXPECT_EQ(to_string(empty[0]), "elements: found 0, wanted 10");
  EXPECT_EQ(to_string(empty[1]), "experts: found 0, wanted 1");
}

}  // namespace
}  // namespace shunt::tests::shard_map_test
