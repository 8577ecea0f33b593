#pragma once
#include "shunt/lower/detail/instruction_waits.hpp"

namespace shunt::detail {

SHUNT_CONSTEXPR void instruction_waits::add(std::int32_t i) {
  for (std::size_t k = 0; k < count; ++k)
    if (list[k] == i) return;
  if (i != none) list[count++] = i;
}

}  // namespace shunt::detail
