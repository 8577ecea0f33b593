#pragma once
#include <cstdint>

#include "shunt/core/host_device.hpp"

namespace example {

/// Which windows of a text an iteration sees: a pure function of (seed, iteration, micro-batch
/// counted over all pipelines, sample), the same bits on a host and on a device.
struct window_choice {
  std::uint64_t seed = 1;
  std::uint64_t places = 1;  ///< where a window can start: 0 .. places - 1

  /// Its first byte in the text.
  [[nodiscard]] SHUNT_HD constexpr std::uint64_t operator()(std::int64_t iteration,
                                                            std::int64_t microbatch,
                                                            std::int64_t sample) const {
    auto mixed = mix(seed ^ 0x5eed);
    mixed = mix(mixed ^ static_cast<std::uint64_t>(iteration));
    mixed = mix(mixed ^ static_cast<std::uint64_t>(microbatch));
    mixed = mix(mixed ^ static_cast<std::uint64_t>(sample));
    return mixed % places;
  }

 private:
  /// One step of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014).
  [[nodiscard]] SHUNT_HD static constexpr std::uint64_t mix(std::uint64_t x) {
    x += 0x9e3779b97f4a7c15;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
    x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
    return x ^ (x >> 31);
  }
};

}  // namespace example
