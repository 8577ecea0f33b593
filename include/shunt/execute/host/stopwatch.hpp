#pragma once
#include <chrono>

#include "shunt/core/units.hpp"

namespace shunt {

/// Counts nanoseconds of the steady clock since its construction.
class stopwatch {
 public:
  static constexpr double seconds_per_tick = 1e-9;

  [[nodiscard]] ticks now() const;
  /// Returns a time of this one in nanoseconds of the steady clock.
  [[nodiscard]] ticks on_steady_clock(ticks t) const {
    return std::chrono::nanoseconds(start_.time_since_epoch()).count() + t;
  }

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/execute/host/stopwatch.ipp"
#endif
