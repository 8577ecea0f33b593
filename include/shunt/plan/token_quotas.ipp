#pragma once
#include "shunt/plan/token_quotas.hpp"

#include <cstddef>

namespace shunt {

SHUNT_CONSTEXPR std::int32_t token_quotas::layers() const {
  return static_cast<std::int32_t>(first_copy.size()) - 1;
}

SHUNT_CONSTEXPR std::span<expert_copy const> token_quotas::layer(layer_id l) const {
  auto const first = static_cast<std::size_t>(first_copy[l.index()]);
  return std::span(copies).subspan(first,
                                   static_cast<std::size_t>(first_copy[l.index() + 1]) - first);
}

}  // namespace shunt
