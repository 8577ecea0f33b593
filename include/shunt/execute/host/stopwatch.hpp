#pragma once
#include <chrono>

#include "shunt/core/units.hpp"

namespace shunt {

/// Nanoseconds on the steady clock since it was made.
class stopwatch {
 public:
  static constexpr double seconds_per_tick = 1e-9;

  [[nodiscard]] ticks now() const;

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/execute/host/stopwatch.ipp"
#endif
