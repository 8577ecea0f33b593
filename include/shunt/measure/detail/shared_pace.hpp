#pragma once
/// The least time in which ranks of unlike pace can do work that they share.
#include <cstddef>
#include <cstdint>
#include <vector>

#include "shunt/core/config.hpp"
#include "shunt/core/units.hpp"

namespace shunt::detail {

/// Ranks that share the work of one stage: rank r takes `pace[r]` ticks for each unit of it. Work
/// comes in multiples of `part` units.
struct shared_pace {
  std::vector<ticks> pace{};
  std::int64_t units = 0, part = 1;

  /// Returns the least time in which the ranks can do all units; 0 where one takes no time.
  /// Complexity: O(ranks log T).
  [[nodiscard]] SHUNT_CONSTEXPR ticks least() const;
};

/// Ranks that share the work of several stages. Each stage's work has a price y, what its fastest
/// rank takes for a unit. In a time t a rank that takes c ticks for a unit does work worth at most
/// max t y / c over its stages, so the time is at least the one in which all ranks together can do
/// what all work is worth (linear programming's weak duality; other prices would bound as well).
class priced_work {
 public:
  /// `units` of work at each of the stages, in multiples of `part`.
  SHUNT_CONSTEXPR priced_work(std::size_t stages, std::int64_t units, std::int64_t part)
      : units_(units), part_(part), price_(stages, 0) {}

  /// Adds a rank that spends `besides` ticks on other things. `cost[i]`: ticks of a unit of the
  /// i-th stage; 0 where the rank doesn't hold it.
  SHUNT_CONSTEXPR void add(ticks besides, std::vector<ticks> cost);

  /// Returns a time below which the ranks can't do all work.
  /// Complexity: O(ranks stages log T).
  [[nodiscard]] SHUNT_CONSTEXPR ticks least() const;

 private:
  struct member {
    ticks besides;
    std::vector<ticks> cost;
    ticks step;  // its time is a multiple of it
  };

  // Returns the most that the work of a rank in a time can be worth, a multiple of `grain`.
  [[nodiscard]] SHUNT_CONSTEXPR ticks value(member const& r, ticks time, ticks grain) const;

  std::int64_t units_, part_;
  std::vector<ticks> price_;
  std::vector<member> ranks_{};
};

}  // namespace shunt::detail

#ifndef SHUNT_COMPILED
#include "shunt/measure/detail/shared_pace.ipp"
#endif
