#pragma once
#include "shunt/plan/token_split.hpp"

#include <cstddef>

namespace shunt {

SHUNT_CONSTEXPR std::int64_t& token_split::sent(rank_id source, slot_id slot) {
  return tokens[source.index() * static_cast<std::size_t>(slots) + slot.index()];
}

SHUNT_CONSTEXPR std::int64_t token_split::sent(rank_id source, slot_id slot) const {
  return tokens[source.index() * static_cast<std::size_t>(slots) + slot.index()];
}

SHUNT_CONSTEXPR std::int64_t& token_split::drops(rank_id source, expert_id expert) {
  return dropped[source.index() * static_cast<std::size_t>(experts) + expert.index()];
}

SHUNT_CONSTEXPR std::int64_t token_split::drops(rank_id source, expert_id expert) const {
  return dropped[source.index() * static_cast<std::size_t>(experts) + expert.index()];
}

}  // namespace shunt
