#pragma once
#include <cstdint>

#include "shunt/core/host_device.hpp"

namespace shunt {

/// Random numbers of 64 bits for searches: a seed gives the same ones on every machine.
/// Reference: SplitMix64, Steele, Lea and Flood, OOPSLA 2014.
struct splitmix64 {
  std::uint64_t state = 0;  ///< the seed, until the first number

  /// Returns the first number of a seed.
  [[nodiscard]] SHUNT_HD static constexpr std::uint64_t mixed(std::uint64_t seed) {
    std::uint64_t z = seed + step;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }

  /// Returns the next number.
  constexpr std::uint64_t operator()() {
    auto const next = mixed(state);
    state += step;
    return next;
  }
  /// Returns a number from 0 to `bound` - 1, from the upper half of the next one.
  /// Requires a bound from 1 to 2^32.
  constexpr std::uint64_t below(std::uint64_t bound) { return ((*this)() >> 32) * bound >> 32; }

 private:
  static constexpr std::uint64_t step = 0x9e3779b97f4a7c15;
};

}  // namespace shunt
