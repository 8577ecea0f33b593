#pragma once
#include <cstdint>
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

/// Places experts after ranks were lost or have joined, with few moves: on_live_ranks makes the
/// problem. Every expert that lost its last live replica gets a slot again, every empty slot is
/// filled, and as many further experts may move as the budget leaves. Without groups a budget of 0
/// takes required_moves, the fewest there are; with groups, replicas that stay on their node may
/// take more. What stays on a rank keeps its slot.
/// Budgets are points of one front, which does not depend on them: a larger one is never worse. A
/// budget of 0, or below what is required, takes its first placement without a search.
/// The front begins at the previous placement, completed; from there changes are made that lower
/// the largest load most per move. It ends at a placement by `first`, dealt by keep_ranks, of which
/// changes are taken back. Random walks between the two find points with fewer moves. See
/// docs/expert-solvers.md.
/// Without a previous placement the answer is that of `first`. Infeasible: as `first`.
/// Throws what validate throws, and invalid_problem if a setting is out of range or the layer has
/// more than 2^27 pairs of an expert and a rank.
/// Complexity: for s slots of a rank and a front of K moves O(K s (E N + S)) per layer at worst,
/// plus that of `first`; at most some 2^31 visits of a change and a rank.
struct elastic {
  static constexpr std::string_view name = "elastic";

  /// The best placement of a layer that was found with so many moves.
  struct point {
    std::int32_t moves = 0;    ///< experts that ranks newly receive (moved_experts)
    double max_over_mean = 1;  ///< under the even split
    std::vector<expert_id> slots{};

    bool operator==(point const&) const = default;
  };

  /// Experts of a layer that ranks newly receive at most; those that have to be placed may be more.
  std::int32_t moves = 0;
  /// Largest over mean load: no move is made that isn't needed to come to it. 1: all that help.
  double balance = 1.01;
  std::int64_t effort = 200'000;  ///< Steps of each of four random walks; some 30 ms.
  balanced first{};

  [[nodiscard]] solution<expert_placement> operator()(expert_layers const& problem) const;

  /// Returns the front of a layer, by moves, each point with a smaller max_over_mean than the one
  /// before. The first point of `balance` or less ends it, or the best that was found.
  /// Requires `previous`, and as many slots as experts.
  /// Throws as the call.
  [[nodiscard]] std::vector<point> front(expert_layers const& problem, layer_id l) const;

 private:
  static constexpr std::int64_t most_pairs = std::int64_t{1} << 27;

  SHUNT_CONSTEXPR void require(expert_layers const& problem) const;
  /// Returns the front of a layer up to `limit` moves.
  std::vector<point> front_within(expert_layers const& problem, layer_id l,
                                  std::int32_t limit) const;
};
static_assert(solver_for<elastic, expert_layers>);

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/solve/experts/elastic.ipp"
#endif
