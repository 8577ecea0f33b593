#pragma once
/// The best way to go on after a loss of workers, whose stages may be layers: re-routing, moving
/// stages, both together, dropping pipelines, taking spares.
///
/// Plans each move of `loss_move` for real and prices it by its verified period over the time to
/// the next failure, with what the switch costs. `reroute`, `normalize` and `take_spares` are plans
/// of `slipstream` with the failures where they are, as normalize_failures puts them, and with
/// spares in dead ranks. `repartition` and `joint` choose blocks of ranks by bounds
/// (search/column_blocks.hpp) and plan each block. Minimises the price; ties go to the move that
/// changes less. Optimal where the price is that of measure/loss_bounds.hpp. The same plan on every
/// platform. Infeasible where a stage's state is lost or too large, or no move has a plan.
/// Throws invalid_problem where the losses are broken.
/// Reference: SlipStream, arXiv 2405.14009; Oobleck, SOSP 2023.
#include <cstdint>
#include <string_view>

#include "shunt/core/solution.hpp"
#include "shunt/plan/loss_plan.hpp"
#include "shunt/problem/worker_losses.hpp"
#include "shunt/solve/solver.hpp"

namespace shunt {

/// Solver of losses: minimises the price of the plan that follows.
struct loss_planner {
  static constexpr std::string_view name = "loss_planner";

  /// limit on the operations placed, over all moves; about 0.1 us each
  std::int64_t effort = 500'000;
  std::int32_t candidates = 12;  ///< sets of blocks that are planned, for each of the two moves

  /// Returns the plan with the lowest price, and the prices of all moves, or the reason why there
  /// is no plan; `moves` then says why none of them has one.
  /// Throws invalid_problem where the losses are broken.
  [[nodiscard]] solution<loss_plan> operator()(worker_losses const& losses) const;
};
static_assert(solver_for<loss_planner, worker_losses>);

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/solve/pipeline/loss_planner.ipp"
#endif
