#include <gtest/gtest.h>

#include <limits>

#include <nlohmann/json.hpp>

#include "shunt/json/experts.hpp"
#include "shunt/json/solution.hpp"
#include "support/json.hpp"

namespace shunt::tests::solution_test {
namespace {

TEST(solution, keeps_status_numbers_and_reason) {
  solution<expert_placement> none{.status = status::infeasible,
                                  .lower_bound = -std::numeric_limits<double>::infinity(),
                                  .reason = "2 slots for 3 experts"};
  expect_round_trip(none);
  nlohmann::json const document = none;
  EXPECT_EQ(document["status"], "infeasible");
  EXPECT_EQ(document["lower_bound"], "-inf");
}

TEST(solution, what_does_not_fit_is_named) {
  nlohmann::json document = solution<expert_placement>{};
  document["status"] = "best";
  EXPECT_EQ(refusal<solution<expert_placement>>(document), "status: \"best\" is none of its names");
  document["status"] = "optimal";
  document["gap"] = 0;
  EXPECT_EQ(refusal<solution<expert_placement>>(document), "gap: is not known here");
}

}  // namespace
}  // namespace shunt::tests::solution_test
