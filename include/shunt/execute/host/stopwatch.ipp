#pragma once
#include "shunt/execute/host/stopwatch.hpp"

#include "shunt/core/config.hpp"

namespace shunt {

SHUNT_INLINE ticks stopwatch::now() const {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now() -
                                                              start_)
      .count();
}

}  // namespace shunt
