#pragma once
#include <cstdint>

#include "shunt/core/host_device.hpp"
#include "shunt/core/splitmix64.hpp"

namespace shunt {

/// Which windows of a text an iteration sees: a pure function of (seed, iteration, micro-batch
/// counted over all pipelines, sample), the same bits on a host and on a device.
struct window_choice {
  std::uint64_t seed = 1;
  std::uint64_t places = 1;  ///< where a window can start: 0 .. places - 1

  /// Returns the place of a window's first byte.
  [[nodiscard]] SHUNT_HD constexpr std::uint64_t operator()(std::int64_t iteration,
                                                            std::int64_t microbatch,
                                                            std::int64_t sample) const {
    auto mixed = splitmix64::mixed(seed ^ 0x5eed);
    mixed = splitmix64::mixed(mixed ^ static_cast<std::uint64_t>(iteration));
    mixed = splitmix64::mixed(mixed ^ static_cast<std::uint64_t>(microbatch));
    mixed = splitmix64::mixed(mixed ^ static_cast<std::uint64_t>(sample));
    return mixed % places;
  }
};

}  // namespace shunt
