#include <gtest/gtest.h>

#include "shunt/problem/lost_ranks.hpp"
#include "support/refusals.hpp"

namespace shunt::tests::lost_ranks_test {
namespace {

TEST(lost_ranks, the_others_are_alive) {
  lost_ranks const lost{.state = {.ranks = 3}, .dead = {1}};
  EXPECT_TRUE(lost.alive(0));
  EXPECT_FALSE(lost.alive(1));
  EXPECT_NO_THROW(validate(lost));
}

TEST(lost_ranks, what_is_wrong_is_named) {
  auto const told = [](lost_ranks const& lost) { return thrown_by([&] { validate(lost); }); };
  EXPECT_EQ(told({.state = {.ranks = 3}, .dead = {0, 3}}), "dead[1]: is rank 3 of 3");
  EXPECT_EQ(told({.state = {.ranks = 3}, .dead = {-1}}), "dead[0]: is rank -1 of 3");
  EXPECT_EQ(told({.state = {.ranks = 3}, .dead = {2, 2}}), "dead[1]: names rank 2 twice");
  EXPECT_EQ(told({.state = {.ranks = 2}, .dead = {1, 0}}), "dead: no rank is left");
  EXPECT_EQ(field_of([] { validate(lost_ranks{.state = {.ranks = 0}}); }), "ranks");
}

}  // namespace
}  // namespace shunt::tests::lost_ranks_test
