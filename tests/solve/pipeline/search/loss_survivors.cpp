#include "shunt/solve/pipeline/search/loss_survivors.hpp"

#include <gtest/gtest.h>

#include <vector>

#include "support/losses.hpp"

namespace shunt::tests::loss_survivors_test {
namespace {

TEST(loss_survivors, spares_are_alive_and_have_nothing) {
  auto losses = without(losses_of(2, 2, 2, 1), {1});
  losses.spares = 1;
  losses.job.memory = stash_cap::per_rank({9, 1, 7, 8});
  losses.job.transfer = {1, 5, 2};
  detail::loss_survivors const from(losses);
  EXPECT_EQ(from.live, (std::vector<rank_id>{0, 2, 3, 4}));
  EXPECT_TRUE(from.held.has(0, 1));
  EXPECT_FALSE(from.held.has(0, 2));
  EXPECT_FALSE(from.held.has(1, 2));  // dead
  EXPECT_FALSE(from.held.has(4, 0));
  EXPECT_EQ(from.least_cap, 7);
  EXPECT_EQ(from.caps_of({3, 4}), stash_cap::per_rank({8, 7}));
  auto const links = from.links_of({3, 2, 0});
  EXPECT_EQ(links(0, 1), 1);
  EXPECT_EQ(links(2, 1), 5);
}

}  // namespace
}  // namespace shunt::tests::loss_survivors_test
