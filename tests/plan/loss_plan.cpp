#include "shunt/plan/loss_plan.hpp"

#include <gtest/gtest.h>

#include <set>
#include <string>

namespace shunt::tests::loss_plan_test {
namespace {

TEST(loss_plan, moves_have_names_of_their_own) {
  std::set<std::string> names;
  for (std::size_t k = 0; k < loss_moves; ++k)
    names.insert(std::string(to_string(static_cast<loss_move>(k))));
  EXPECT_EQ(names.size(), loss_moves);
  EXPECT_FALSE(names.contains("unknown"));
  EXPECT_EQ(to_string(static_cast<loss_move>(loss_moves)), "unknown");
}

TEST(loss_plan, a_move_has_a_plan_where_it_has_a_period) {
  EXPECT_FALSE(priced_move{}.has_plan());
  EXPECT_TRUE(priced_move{.period = 1}.has_plan());
}

}  // namespace
}  // namespace shunt::tests::loss_plan_test
