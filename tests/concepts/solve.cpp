// The least model of each concept of solve/, through everything generic that asks for it.
#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <stop_token>
#include <string_view>
#include <utility>
#include <vector>

#include "shunt/core/solution.hpp"
#include "shunt/problem/expert_layers.hpp"
#include "shunt/problem/load_series.hpp"
#include "shunt/problem/pipeline_job.hpp"
#include "shunt/solve/experts/measured_slot_budget.hpp"
#include "shunt/solve/experts/predict_loads.hpp"
#include "shunt/solve/experts/slot_budget.hpp"
#include "shunt/solve/experts/swift_moe.hpp"
#include "shunt/solve/pipeline/normalize_failures.hpp"
#include "shunt/solve/pipeline/one_f_one_b.hpp"
#include "shunt/solve/pipeline/schedule_store.hpp"
#include "shunt/solve/portfolio.hpp"
#include "shunt/solve/solver.hpp"

namespace {

using namespace shunt;

// A problem and a plan that no solver of the library knows.

struct least_problem {
  least_problem() = default;
  least_problem(least_problem const&) = delete;
  least_problem& operator=(least_problem const&) = delete;
};
struct least_plan {
  std::int32_t made_by = 0;
};
static_assert(any_solution<solution<least_plan>>);

/// A base of function objects that can be moved and nothing else.
struct moved_only {
  moved_only() = default;
  moved_only(moved_only&&) = default;
  moved_only& operator=(moved_only&&) = delete;
};

/// A name that is converted to a string_view.
struct least_name {
  constexpr operator std::string_view() const { return "least"; }
};
struct least_named {
  static constexpr least_name name{};
};
static_assert(named<least_named>);

struct least_solver : moved_only, least_named {
  constexpr solution<least_plan> operator()(least_problem const&) const {
    return {.plan = {1}, .objective = 3};
  }
};
static_assert(solver_for<least_solver, least_problem>);
static_assert(!anytime_solver_for<least_solver, least_problem>);

struct least_anytime_solver : least_solver {
  using least_solver::operator();
  solution<least_plan> operator()(least_problem const&, std::stop_token) const {
    return {.plan = {2}, .objective = 2};
  }
};
static_assert(anytime_solver_for<least_anytime_solver, least_problem>);

struct least_transform : moved_only, least_named {
  constexpr solution<least_plan> operator()(least_problem const&, least_plan const& plan) const {
    return {.plan = {plan.made_by + 10}, .objective = 1};
  }
};
static_assert(transform_for<least_transform, least_problem, least_plan>);
static_assert(!improver_for<least_transform, least_problem, least_plan>);

struct least_improver : least_transform {
  static constexpr bool improves = true;
};
static_assert(improver_for<least_improver, least_problem, least_plan>);

TEST(archetypes, solvers_compose) {
  least_problem const problem;
  EXPECT_EQ(solve(problem, least_solver{}).plan.made_by, 1);
  auto const twice = least_solver{} | least_transform{} | least_improver{};
  static_assert(solver_for<decltype(twice), least_problem>);
  EXPECT_EQ(solve(problem, twice).plan.made_by, 21);
  EXPECT_EQ(twice.name, "least | least | least");
}

TEST(archetypes, solvers_make_a_portfolio) {
  least_problem const problem;
  portfolio const both{least_solver{}, least_anytime_solver{}};
  static_assert(anytime_solver_for<decltype(both), least_problem>);
  EXPECT_EQ(both(problem).plan.made_by, 1);
  EXPECT_EQ(both(problem, std::stop_token{}).plan.made_by, 2);
}

/// A solver of one of the library's problems. The solvers that it hides behind are the library's.
template <class Of>
struct least_solver_of : moved_only, least_named {
  template <class Problem>
  constexpr auto operator()(Problem const& problem) const {
    return Of{}(problem);
  }
};
static_assert(solver_for<least_solver_of<swift_moe>, expert_layers>);
static_assert(solver_for<least_solver_of<one_f_one_b>, pipeline_job>);

TEST(archetypes, slot_budgets_take_any_placement_solver) {
  expert_layers const layers{
      .layers = 2, .experts = 2, .loads = {5, 1, 3, 3}, .slots_per_rank = {4, 4}};
  measured_slot_budget<least_solver_of<swift_moe>> const measured{};
  auto const dealt = measured(layers);
  ASSERT_TRUE(dealt.has_plan()) << dealt.reason;
  EXPECT_EQ(place_layers(layers, dealt.plan, least_solver_of<swift_moe>{}).size(), 2U);
}

TEST(archetypes, a_schedule_store_takes_any_pipeline_solver) {
  schedule_store<least_solver_of<one_f_one_b>> store(
      {.pipelines = 1, .stages = 2, .microbatches = 2}, {});
  EXPECT_EQ(store.prepare(0), 1U);
}

struct least_column_cost : moved_only {
  struct ticks_alone {
    constexpr operator ticks() const { return 1; }
  };
  constexpr ticks_alone operator()(std::size_t, std::int32_t) const { return {}; }
};
static_assert(stage_group_cost_for<least_column_cost>);

TEST(archetypes, normalize_failures_takes_any_cost) {
  pipeline_job const job{
      .pipelines = 2, .stages = 2, .microbatches = 2, .dead = {{.pipeline = 1, .stage = 0}}};
  EXPECT_EQ(normalize_failures{}(job, least_column_cost{}).objective, 1);
}

struct least_predictor : moved_only, least_named {
  std::vector<std::int64_t> operator()(std::span<std::int64_t const>, std::size_t cells) const {
    return std::vector<std::int64_t>(cells, 0);
  }
};
static_assert(load_predictor<least_predictor>);

TEST(archetypes, predicting_nothing_scores_one) {
  EXPECT_EQ(prediction_error({.layers = 1, .experts = 2, .loads = {1, 2, 3, 4}}, least_predictor{}),
            1.0);
}

}  // namespace
