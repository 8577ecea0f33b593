#pragma once
#include <cstdint>
#include <vector>

#include "shunt/core/config.hpp"
#include "shunt/core/host_device.hpp"
#include "shunt/core/splitmix64.hpp"

namespace shunt::detail {

/// Uniform noise of the tokens of one source in a layer and iteration, for host and device: the
/// same bits wherever it is computed. Tokens claim the room of their expert in falling order of
/// noise.
struct claim_noise {
  std::uint64_t key = 0;

  /// Returns the noise of one source. `layer` and `iteration` are at least 0.
  [[nodiscard]] SHUNT_HD static constexpr claim_noise of(std::uint64_t seed, std::int64_t iteration,
                                                         std::int64_t layer, std::int64_t source) {
    auto mixed = splitmix64::mixed(seed ^ 0xc1a1);
    mixed = splitmix64::mixed(mixed ^ static_cast<std::uint64_t>(iteration));
    mixed = splitmix64::mixed(mixed ^ static_cast<std::uint64_t>(layer));
    return {splitmix64::mixed(mixed ^ static_cast<std::uint64_t>(source))};
  }
  [[nodiscard]] SHUNT_HD constexpr std::uint64_t operator()(std::int64_t token) const {
    return splitmix64::mixed(key ^ static_cast<std::uint64_t>(token));
  }
  /// Whether token a claims before token b. Of equal noise the lower number is first.
  [[nodiscard]] SHUNT_HD constexpr bool before(std::int64_t a, std::int64_t b) const {
    std::uint64_t const x = (*this)(a), y = (*this)(b);
    return x != y ? x > y : a < b;
  }
  /// Returns the numbers 0 .. tokens - 1 in the order in which they claim.
  /// Complexity: O(tokens log tokens).
  [[nodiscard]] SHUNT_CONSTEXPR std::vector<std::int64_t> order(std::int64_t tokens) const;
};

}  // namespace shunt::detail

#ifndef SHUNT_COMPILED
#include "shunt/solve/experts/search/claim_noise.ipp"
#endif
