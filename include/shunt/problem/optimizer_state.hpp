#pragma once
#include <cstdint>

#include "shunt/core/config.hpp"

namespace shunt {

/// Size of the optimizer's state of one layer's experts, and bytes per element of each kind. The
/// defaults are the exact mode of the examples: fixed-point gradients, single-precision weights and
/// Adam moments.
struct optimizer_state {
  std::int32_t experts = 1;
  std::int32_t ranks = 1;     ///< N, ranks over which state is sharded
  std::int64_t elements = 1;  ///< parameters of one expert; any number, not only multiples of N
  std::int32_t gradient_bytes = 8;  ///< per element
  std::int32_t weight_bytes = 4;    ///< per element
  std::int32_t state_bytes = 12;    ///< per element: master weights and both moments

  bool operator==(optimizer_state const&) const = default;
};

/// Throws invalid_problem where a size is not positive, or the bytes of all experts exceed 62 bits.
SHUNT_CONSTEXPR void validate(optimizer_state const& o);

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/problem/optimizer_state.ipp"
#endif
