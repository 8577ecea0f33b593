#include <gtest/gtest.h>

#include "shunt/core/solution.hpp"

namespace shunt::tests::solution_test {
namespace {

TEST(solution, has_a_plan_where_it_is_optimal_or_feasible) {
  solution<int> answer;
  EXPECT_EQ(answer.status, status::feasible);
  EXPECT_TRUE(answer.has_plan());
  answer.status = status::optimal;
  EXPECT_TRUE(answer.has_plan());
  answer.status = status::infeasible;
  EXPECT_FALSE(answer.has_plan());
  answer.status = status::limit_reached;
  EXPECT_FALSE(answer.has_plan());
}

TEST(solution, statuses_have_names) {
  EXPECT_EQ(to_string(status::optimal), "optimal");
  EXPECT_EQ(to_string(status::feasible), "feasible");
  EXPECT_EQ(to_string(status::infeasible), "infeasible");
  EXPECT_EQ(to_string(status::limit_reached), "limit_reached");
}

}  // namespace
}  // namespace shunt::tests::solution_test
