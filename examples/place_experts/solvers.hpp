#pragma once
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

namespace place_experts {

using placed = shunt::solution<shunt::expert_placement>;

/// What the command line says of solvers.
struct settings {
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
struct solver {
  std::string_view name;
  placed (*solve)(shunt::expert_layers const&, settings const&);
  shunt::optimizer_place state =
      shunt::optimizer_place::tied;  ///< where its paper keeps optimizer state
  bool keeps_budget = false;         ///< asked by --budget
  bool replayed = true;              ///< part of the table of --series
  bool grouped = false;  ///< differs from another solver where experts stand in groups alone
};

template <class Solver>
placed run(shunt::expert_layers const& layers, settings const&) {
  return shunt::solve(layers, Solver{});
}
inline placed run_incremental(shunt::expert_layers const& layers, settings const& s) {
  shunt::incremental solver;
  solver.moves = s.budget.value_or(solver.moves);
  if (s.proportional) solver.first.effort = 0;
  return shunt::solve(layers, solver);
}

inline placed run_elastic(shunt::expert_layers const& layers, settings const& s) {
  return shunt::solve(layers, shunt::elastic{.moves = s.budget.value_or(0), .balance = s.balance});
}

inline placed run_lazarus(shunt::expert_layers const& layers, settings const& s) {
  return shunt::solve(layers, shunt::lazarus{.floor = s.floor});
}

inline placed run_spilled_groups(shunt::expert_layers const& layers, settings const& s) {
  return shunt::solve(layers, shunt::spilled_groups{.limit = s.spill});
}

inline placed run_flexmoe(shunt::expert_layers const& layers, settings const& s) {
  shunt::flexmoe solver;
  if (s.every_slot) solver.steps = layers.slots();
  return shunt::solve(layers, solver);
}

/// All solvers that --solver knows; a new one is one line.
inline constexpr std::array solvers{
    solver{.name = shunt::swift_moe::name,
           .solve = run<shunt::swift_moe>,
           .state = shunt::optimizer_place::decoupled},
    solver{.name = shunt::uniform::name, .solve = run<shunt::uniform>},
    solver{.name = shunt::eplb::name, .solve = run<shunt::eplb>},
    solver{.name = shunt::balanced::name, .solve = run<shunt::balanced>},
    solver{.name = shunt::spilled_groups::name, .solve = run_spilled_groups, .grouped = true},
    solver{.name = shunt::incremental::name, .solve = run_incremental, .keeps_budget = true},
    solver{.name = shunt::elastic::name,
           .solve = run_elastic,
           .keeps_budget = true,
           .replayed = false},
    solver{.name = shunt::lazarus::name, .solve = run_lazarus},
    solver{.name = shunt::flexmoe::name, .solve = run_flexmoe},
    solver{.name = shunt::shadow::name,
           .solve = run<shunt::shadow>,
           .state = shunt::optimizer_place::at_home},
    solver{.name = shunt::exact_placement::name,
           .solve = run<shunt::exact_placement>,
           .replayed = false},
};

inline solver const& solver_named(std::string_view name) {
  for (auto const& s : solvers)
    if (s.name == name) return s;
  throw shunt::invalid_problem("--solver", "no solver " + std::string(name));
}

/// What the command line asks for: a solver, and what is done with its placement.
inline placed solve(shunt::expert_layers const& layers, solver const& with, settings const& set) {
  auto answer = with.solve(layers, set);
  if (answer.has_plan() && set.near_sources) answer = shunt::near_sources{}(layers, answer.plan);
  if (answer.has_plan() && set.keep_ranks) answer = shunt::keep_ranks{}(layers, answer.plan);
  return answer;
}

/// A predictor of the next window's loads under its name.
struct predictor {
  std::string_view name;
  std::vector<std::int64_t> (*predict)(std::span<std::int64_t const> history, std::size_t cells);
  double (*error)(shunt::load_series const&);
};
template <class Predictor>
inline constexpr predictor listed{
    Predictor::name,
    [](std::span<std::int64_t const> history, std::size_t cells) {
      return Predictor{}(history, cells);
    },
    [](shunt::load_series const& series) { return shunt::prediction_error(series, Predictor{}); }};

inline constexpr std::array predictors{listed<shunt::last_window>, listed<shunt::window_mean>,
                                       listed<shunt::exponential_mean>,
                                       listed<shunt::linear_trend>};

}  // namespace place_experts
