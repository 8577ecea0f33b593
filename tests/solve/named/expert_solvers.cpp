#include "shunt/solve/named/expert_solvers.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "shunt/check/placement.hpp"
#include "shunt/core/error.hpp"

namespace shunt::tests::expert_solvers_test {
namespace {

expert_layers const layers{.layers = 2,
                           .experts = 4,
                           .loads = {70, 20, 6, 4, 10, 10, 40, 40},
                           .slots_per_rank = {2, 2, 2, 2}};

TEST(expert_solvers, place_under_their_names) {
  std::set<std::string_view> names;
  for (auto const& known : expert_solvers) {
    EXPECT_TRUE(names.insert(known.name).second) << known.name;
    EXPECT_EQ(&expert_solver_named("solver", known.name), &known);
    auto const answer = known.solve(layers, {});
    ASSERT_TRUE(answer.has_plan()) << known.name << ": " << answer.reason;
    EXPECT_TRUE(check(layers, answer.plan).empty()) << known.name;
  }
  EXPECT_THROW((void)expert_solver_named("solver", "best"), invalid_problem);
}

TEST(expert_solvers, read_their_settings) {
  auto const& lazarus = expert_solver_named("solver", "lazarus");
  for (std::int32_t const floor : {1, 2}) {
    auto const answer = solve(layers, lazarus, {.floor = floor});
    ASSERT_TRUE(answer.has_plan());
    for (layer_id const l : {0, 1})
      for (auto const count : replica_counts(answer.plan, l)) EXPECT_GE(count, floor);
  }
  auto before = layers;
  before.previous = solve(layers, expert_solver_named("solver", "uniform"), {}).plan.expert_of;
  auto const& eplb = expert_solver_named("solver", "eplb");
  auto const moved = [&](bool keep) {
    auto const answer = solve(before, eplb, {.keep_ranks = keep});
    std::int64_t all = 0;
    for (layer_id const l : {0, 1}) all += moved_experts(before.previous_of(l), answer.plan, l);
    return all;
  };
  EXPECT_LE(moved(true), moved(false));
}

TEST(load_predictors, have_names_and_errors) {
  load_series const steady{.layers = 1, .experts = 2, .loads = {1, 3, 1, 3, 1, 3, 1, 3}};
  for (auto const& known : load_predictors) {
    EXPECT_EQ(known.predict(steady.loads, 2).size(), 2U) << known.name;
    EXPECT_NEAR(known.error(steady), 0, 1e-9) << known.name;
  }
}

}  // namespace
}  // namespace shunt::tests::expert_solvers_test
