#pragma once
#include <cstdint>
#include <string>

#include "shunt/core/error.hpp"
#include "shunt/core/units.hpp"

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

  constexpr bool operator==(optimizer_state const&) const = default;
};

/// Throws invalid_problem where a size is not positive, or the bytes of all experts exceed 62 bits.
constexpr void validate(optimizer_state const& o) {
  auto const positive = [](char const* field, std::int64_t value) {
    if (value < 1) throw invalid_problem(field, "must be at least 1, is " + std::to_string(value));
  };
  positive("experts", o.experts);
  positive("ranks", o.ranks);
  positive("elements", o.elements);
  positive("gradient_bytes", o.gradient_bytes);
  positive("weight_bytes", o.weight_bytes);
  positive("state_bytes", o.state_bytes);
  auto const all = checked_multiply(o.elements, o.experts);
  std::int64_t const widest = std::int64_t{o.gradient_bytes} + o.weight_bytes + o.state_bytes;
  auto const bytes = all ? checked_multiply(*all, widest) : std::nullopt;
  if (!bytes || *bytes >= (std::int64_t{1} << 62))
    throw invalid_problem("elements", "is " + std::to_string(o.elements) +
                                          ": the bytes of all experts are beyond 62 bits");
}

}  // namespace shunt
