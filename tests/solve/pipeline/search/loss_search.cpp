#include "shunt/solve/pipeline/search/loss_search.hpp"

#include <gtest/gtest.h>

#include "support/losses.hpp"

namespace shunt::tests::loss_search_test {
namespace {

// Blocks reach the bound under which they were found: a rank of each begins an iteration before the
// deep ranks of the others, and their low stages are reduced first.
TEST(loss_search, unequal_pipelines_lose_nothing_by_their_common_stages) {
  auto losses = losses_of(6, 4, 8, 24);
  losses.state_limit = 8;
  losses = without(losses, {0, 5, 10});
  detail::loss_search search(losses, 1'000'000, 12);
  auto const plan = search.search();
  ASSERT_TRUE(plan.has_value());
  for (auto const& m : search.prices())
    if (m.what == loss_move::repartition) {
      EXPECT_EQ(m.period, 672);  // four of 4 x 8 layers, one of 7, 7, 7, 7, 4
    }
  EXPECT_EQ(search.prices(), plan->moves);
}

}  // namespace
}  // namespace shunt::tests::loss_search_test
