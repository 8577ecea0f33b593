#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

#include "shunt/core/config.hpp"
#include "shunt/core/id.hpp"
#include "shunt/plan/expert_placement.hpp"
#include "shunt/problem/expert_layers.hpp"
#include "shunt/solve/experts/search/placement_changes.hpp"
#include "shunt/solve/experts/search/windowed_placement.hpp"

namespace shunt::detail {

/// Placements of one layer between the previous one and a new one, by the experts that move.
class move_front {
 public:
  struct point {
    std::int32_t moves = 0;
    double max_over_mean = 0;
    std::vector<expert_id> slots{};
  };

  /// The front ends with the first point of `balance` or less.
  /// Requires one layer with a previous placement, as many slots as experts, and that `one` lives
  /// longer.
  SHUNT_CONSTEXPR move_front(expert_layers const& one, double balance);

  /// Places what has to be placed.
  /// Returns the moves that this takes.
  SHUNT_CONSTEXPR std::int32_t begin();

  /// Goes on from there until the balance is reached or nothing helps: for each number of moves the
  /// better of one more move, and of two more from the placement before.
  SHUNT_CONSTEXPR void grow();

  /// Goes from another placement back until it is no better than the first point.
  SHUNT_CONSTEXPR void take_back(expert_placement const& fresh);

  /// Walks at random, `steps` each, from the first point and from the last in turn.
  void walk(std::int64_t steps, std::uint64_t seed);

  /// Returns the points of at most `limit` moves, or the first, that are better than all with fewer
  /// moves.
  [[nodiscard]] SHUNT_CONSTEXPR std::vector<point> points(std::int32_t limit) const;

 private:
  SHUNT_CONSTEXPR double measured();
  /// Adds the state unless it is no better than a point with as few moves.
  SHUNT_CONSTEXPR void add();
  /// Returns the state's placement; what stays on a rank stays in its slot.
  [[nodiscard]] SHUNT_CONSTEXPR std::vector<expert_id> copy() const;

  expert_layers const& one_;
  double balance_;
  windowed_placement state_;
  placement_changes changes_;
  expert_placement plan_;
  std::vector<node_id> homes_{};
  std::vector<point> points_{};
};

}  // namespace shunt::detail

#ifndef SHUNT_COMPILED
#include "shunt/solve/experts/search/move_front.ipp"
#endif
