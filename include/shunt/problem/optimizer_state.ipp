#pragma once
#include "shunt/problem/optimizer_state.hpp"

#include <optional>
#include <string>

#include "shunt/core/error.hpp"
#include "shunt/core/units.hpp"

namespace shunt {

SHUNT_CONSTEXPR void validate(optimizer_state const& o) {
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
