#pragma once
/// Solvers of placements and predictors of loads by their names, for programs that choose one while
/// they run. Every one is compiled into a unit that includes this.
#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "shunt/core/error.hpp"
#include "shunt/core/solution.hpp"
#include "shunt/measure/replay.hpp"
#include "shunt/plan/expert_placement.hpp"
#include "shunt/problem/expert_layers.hpp"
#include "shunt/problem/load_series.hpp"
#include "shunt/solve/experts/balanced.hpp"
#include "shunt/solve/experts/elastic.hpp"
#include "shunt/solve/experts/eplb.hpp"
#include "shunt/solve/experts/exact_placement.hpp"
#include "shunt/solve/experts/flexmoe.hpp"
#include "shunt/solve/experts/incremental.hpp"
#include "shunt/solve/experts/keep_ranks.hpp"
#include "shunt/solve/experts/lazarus.hpp"
#include "shunt/solve/experts/near_sources.hpp"
#include "shunt/solve/experts/predict_loads.hpp"
#include "shunt/solve/experts/shadow.hpp"
#include "shunt/solve/experts/spilled_groups.hpp"
#include "shunt/solve/experts/swift_moe.hpp"
#include "shunt/solve/experts/uniform.hpp"
#include "shunt/solve/solver.hpp"

namespace shunt {

/// What a user may say of the solvers; each reads what concerns it.
struct expert_solver_settings {
  std::optional<std::int32_t> budget{};  ///< moved experts a layer, of incremental and elastic
  double balance = 1.01;                 ///< where elastic moves no more
  std::int32_t floor = 2;                ///< least replicas of an expert, of lazarus
  std::int32_t spill = 8;  ///< replicas of a layer away from their group's node, of spilled_groups
  bool proportional = false;  ///< incremental begins with replicas in proportion to the tokens
  bool keep_ranks = false;    ///< rows dealt to ranks so that most experts stay
  bool near_sources = false;  ///< rows dealt to ranks so that most tokens stay
  bool every_slot = false;    ///< flexmoe may change as many slots as there are
};

/// A solver under its name.
struct named_expert_solver {
  std::string_view name;
  solution<expert_placement> (*solve)(expert_layers const&, expert_solver_settings const&);
  optimizer_place state = optimizer_place::tied;  ///< where its paper keeps optimizer state
  bool keeps_budget = false;                      ///< reads the budget
  bool replayed = true;                           ///< part of tables that compare all on a series
  bool grouped = false;  ///< differs from another solver where experts stand in groups alone
};

namespace detail {

template <class Solver>
solution<expert_placement> place(expert_layers const& layers, expert_solver_settings const&) {
  return solve(layers, Solver{});
}
inline solution<expert_placement> place_incremental(expert_layers const& layers,
                                                    expert_solver_settings const& s) {
  incremental solver;
  solver.moves = s.budget.value_or(solver.moves);
  if (s.proportional) solver.first.effort = 0;
  return solve(layers, solver);
}

inline solution<expert_placement> place_elastic(expert_layers const& layers,
                                                expert_solver_settings const& s) {
  return solve(layers, elastic{.moves = s.budget.value_or(0), .balance = s.balance});
}

inline solution<expert_placement> place_lazarus(expert_layers const& layers,
                                                expert_solver_settings const& s) {
  return solve(layers, lazarus{.floor = s.floor});
}

inline solution<expert_placement> place_spilled_groups(expert_layers const& layers,
                                                       expert_solver_settings const& s) {
  return solve(layers, spilled_groups{.limit = s.spill});
}

inline solution<expert_placement> place_flexmoe(expert_layers const& layers,
                                                expert_solver_settings const& s) {
  flexmoe solver;
  if (s.every_slot) solver.steps = layers.slots();
  return solve(layers, solver);
}

}  // namespace detail

/// All of them; a new one is one line.
inline constexpr std::array expert_solvers{
    named_expert_solver{.name = swift_moe::name,
                        .solve = detail::place<swift_moe>,
                        .state = optimizer_place::decoupled},
    named_expert_solver{.name = uniform::name, .solve = detail::place<uniform>},
    named_expert_solver{.name = eplb::name, .solve = detail::place<eplb>},
    named_expert_solver{.name = balanced::name, .solve = detail::place<balanced>},
    named_expert_solver{
        .name = spilled_groups::name, .solve = detail::place_spilled_groups, .grouped = true},
    named_expert_solver{
        .name = incremental::name, .solve = detail::place_incremental, .keeps_budget = true},
    named_expert_solver{.name = elastic::name,
                        .solve = detail::place_elastic,
                        .keeps_budget = true,
                        .replayed = false},
    named_expert_solver{.name = lazarus::name, .solve = detail::place_lazarus},
    named_expert_solver{.name = flexmoe::name, .solve = detail::place_flexmoe},
    named_expert_solver{
        .name = shadow::name, .solve = detail::place<shadow>, .state = optimizer_place::at_home},
    named_expert_solver{
        .name = exact_placement::name, .solve = detail::place<exact_placement>, .replayed = false},
};

/// Returns the solver of a name.
/// Throws invalid_problem, which names `field`, where there is none.
[[nodiscard]] inline named_expert_solver const& expert_solver_named(std::string const& field,
                                                                    std::string_view name) {
  for (auto const& s : expert_solvers)
    if (s.name == name) return s;
  throw invalid_problem(field, "no solver " + std::string(name));
}

/// Returns a solver's placement, with rows dealt to ranks as the settings say.
[[nodiscard]] inline solution<expert_placement> solve(expert_layers const& layers,
                                                      named_expert_solver const& with,
                                                      expert_solver_settings const& set) {
  auto answer = with.solve(layers, set);
  if (answer.has_plan() && set.near_sources) answer = near_sources{}(layers, answer.plan);
  if (answer.has_plan() && set.keep_ranks) answer = keep_ranks{}(layers, answer.plan);
  return answer;
}

/// A predictor of the next window's loads under its name.
struct named_predictor {
  std::string_view name;
  std::vector<std::int64_t> (*predict)(std::span<std::int64_t const> history, std::size_t cells);
  double (*error)(load_series const&);
};
template <class Predictor>
inline constexpr named_predictor listed_predictor{
    Predictor::name,
    [](std::span<std::int64_t const> history, std::size_t cells) {
      return Predictor{}(history, cells);
    },
    [](load_series const& series) { return prediction_error(series, Predictor{}); }};

inline constexpr std::array load_predictors{
    listed_predictor<last_window>, listed_predictor<window_mean>,
    listed_predictor<exponential_mean>, listed_predictor<linear_trend>};

}  // namespace shunt
