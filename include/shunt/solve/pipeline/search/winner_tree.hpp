#pragma once
/// Priority queue over a fixed set of players with one time each that changes often: the clock of a
/// simulation, one player a rank.
///
/// A tree of minimum times with eight children a node.
/// Complexity: O(log_8 n) to set a time, less where an ancestor does not change, and O(log_8 n) to
/// find the winner.
#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

#include "shunt/core/units.hpp"

namespace shunt::detail {

/// Winner tree over times. A player without a time is at `never`.
class winner_tree {
 public:
  static constexpr ticks never = std::numeric_limits<ticks>::max();

  /// All players start at `never`.
  explicit winner_tree(std::size_t players) {
    for (std::size_t width = players; levels_.empty() || width > 1;) {
      width = (width + 7) / 8;
      levels_.emplace_back(8 * width, never);
    }
  }
  /// Sets all players to `never`.
  void clear() {
    for (auto& level : levels_) std::fill(level.begin(), level.end(), never);
  }
  /// Returns the player with the earliest time, the lowest of several.
  [[nodiscard]] std::int32_t winner() const {
    std::size_t at = 0;
    ticks const first = least(levels_.back().data());
    for (std::size_t l = levels_.size(); l-- > 0;) {
      ticks const* const c = levels_[l].data() + 8 * at;
      auto const same = [&](std::size_t i) { return static_cast<unsigned>(c[i] == first) << i; };
      at = 8 * at + static_cast<unsigned>(std::countr_zero(same(0) | same(1) | same(2) | same(3) |
                                                           same(4) | same(5) | same(6) | same(7)));
    }
    return static_cast<std::int32_t>(at);
  }
  /// Returns the time of a player.
  [[nodiscard]] ticks operator[](std::int32_t player) const {
    return levels_[0][static_cast<std::size_t>(player)];
  }
  /// Sets the time of a player.
  void set(std::int32_t player, ticks when) {
    auto at = static_cast<std::size_t>(player);
    for (auto& level : levels_) {
      if (level[at] == when) return;
      level[at] = when;
      at /= 8;
      when = least(level.data() + 8 * at);
    }
  }

 private:
  static ticks least(ticks const* c) {
    return std::min(std::min(std::min(c[0], c[1]), std::min(c[2], c[3])),
                    std::min(std::min(c[4], c[5]), std::min(c[6], c[7])));
  }
  std::vector<std::vector<ticks>> levels_{};  // the players, the minima of eight players, and so on
};

}  // namespace shunt::detail
