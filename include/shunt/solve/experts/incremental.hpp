#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "shunt/core/config.hpp"
#include "shunt/core/id.hpp"
#include "shunt/core/solution.hpp"
#include "shunt/plan/expert_placement.hpp"
#include "shunt/problem/expert_layers.hpp"
#include "shunt/solve/experts/balanced.hpp"
#include "shunt/solve/solver.hpp"

namespace shunt {
namespace detail {
class windowed_placement;
}

/// Changes the previous placement by at most `moves` experts per layer such that it stays balanced
/// in the windows to come.
/// A change gives a slot to another expert (one move) or swaps two experts on two ranks (two
/// moves). The change that lowers the score most per move is made while it gains more than `price`
/// per move and moves are left. The score is the mean of max/mean over the current loads and the
/// last `windows` - 1 of the history. No change puts an expert on a rank twice or removes an
/// expert's last replica. Where ranks were lost or have joined, experts without a slot get one and
/// empty slots of the previous placement (-1) are filled first, one move each, and even beyond the
/// budget. Budgets of `fresh_from` moves or more also try a fresh solution by
/// `first`, changed back until the budget holds; the better one stands.
/// Without a previous placement `first` solves the problem and, with a history, its placement is
/// changed with 2 S moves. If groups of experts stay on nodes, a replica only goes to the node that
/// has most of its group. Infeasible: as `first`.
/// See docs/expert-solvers.md.
/// Ends after some 2^31 visits of a (change, rank, window) triple per layer.
/// Throws what validate throws, and invalid_problem if a setting is out of range or the layer has
/// more than 2^27 pairs of an expert and a rank.
/// Complexity: for s slots of a rank O(moves x windows^2 x s (E N + S)) per layer at worst, plus
/// that of `first` if it runs.
struct incremental {
  static constexpr std::string_view name = "incremental";

  std::int32_t moves = 2;  ///< Most experts per layer that ranks newly receive.
  /// Windows in the score, the current one included; windows that the history lacks are left out.
  std::int32_t windows = 6;
  double price = 0;  ///< Per move, in max/mean: the least gain of a change.
  /// Moves; a smaller budget keeps little of a fresh solution, which costs ten times as much.
  std::int32_t fresh_from = 8;
  balanced first{};

  [[nodiscard]] SHUNT_CONSTEXPR solution<expert_placement> operator()(
      expert_layers const& problem) const;

 private:
  /// Pairs of an expert and a rank, 512 MiB of them.
  static constexpr std::int64_t most_pairs = std::int64_t{1} << 27;

  /// Changes every layer of a placement with 2 S moves.
  SHUNT_CONSTEXPR void settle(expert_layers const& problem, detail::windowed_placement& state,
                              expert_placement& plan) const;

  SHUNT_CONSTEXPR std::vector<expert_placement> solved_anew(
      expert_layers const& problem, detail::windowed_placement& state) const;
};
static_assert(solver_for<incremental, expert_layers>);

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/solve/experts/incremental.ipp"
#endif
