#pragma once
/// Priority queue over a fixed set of players with one time each that changes often: the clock of a
/// simulation, one player a rank.
///
/// A tree of minimum times with eight children a node.
/// Complexity: O(log_8 n) to set a time, less where an ancestor does not change, and O(log_8 n) to
/// find the winner.
#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

#include "shunt/core/config.hpp"
#include "shunt/core/units.hpp"

namespace shunt::detail {

/// Winner tree over times. A player without a time is at `never`.
class winner_tree {
 public:
  static constexpr ticks never = std::numeric_limits<ticks>::max();

  /// All players start at `never`.
  SHUNT_CONSTEXPR explicit winner_tree(std::size_t players);
  /// Sets all players to `never`.
  SHUNT_CONSTEXPR void clear();
  /// Returns the player with the earliest time, the lowest of several.
  [[nodiscard]] SHUNT_CONSTEXPR std::int32_t winner() const;
  /// Returns `winner()` after the winner `last` of time `when` was set to a later time.
  /// Requires that no other player was set to `when` or to an earlier time since `last` has won.
  /// Complexity: O(1) where the winner stands in the same block of eight.
  [[nodiscard]] SHUNT_CONSTEXPR std::int32_t winner_after(std::int32_t last, ticks when) const;
  /// Returns the time of a player.
  [[nodiscard]] SHUNT_CONSTEXPR ticks operator[](std::int32_t player) const;
  /// Sets the time of a player.
  SHUNT_CONSTEXPR void set(std::int32_t player, ticks when);

 private:
  static SHUNT_CONSTEXPR ticks least(ticks const* c);
  /// Returns the lowest of eight players with this time, or 32.
  static SHUNT_CONSTEXPR unsigned first_at(ticks const* c, ticks when);
  std::vector<std::vector<ticks>> levels_{};  // the players, the minima of eight players, and so on
};

}  // namespace shunt::detail

#ifndef SHUNT_COMPILED
#include "shunt/solve/pipeline/search/winner_tree.ipp"
#endif
