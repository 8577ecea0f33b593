#pragma once
#include <cstdint>

#include "shunt/core/host_device.hpp"
#include "shunt/core/splitmix64.hpp"

namespace example {

/// Which windows of a text an iteration sees: a pure function of (seed, iteration, micro-batch
/// counted over all pipelines, sample), the same bits on a host and on a device.
struct window_choice {
  std::uint64_t seed = 1;
  std::uint64_t places = 1;  ///< where a window can start: 0 .. places - 1

  /// Its first byte in the text.
  SHUNT_HD constexpr std::uint64_t operator()(std::int64_t iteration, std::int64_t microbatch,
                                              std::int64_t sample) const {
    auto mixed = shunt::splitmix64::mixed(seed ^ 0x5eed);
    mixed = shunt::splitmix64::mixed(mixed ^ static_cast<std::uint64_t>(iteration));
    mixed = shunt::splitmix64::mixed(mixed ^ static_cast<std::uint64_t>(microbatch));
    mixed = shunt::splitmix64::mixed(mixed ^ static_cast<std::uint64_t>(sample));
    return mixed % places;
  }
};

}  // namespace example
