#pragma once
#include <cstdint>
#include <vector>

#include "shunt/core/config.hpp"
#include "shunt/core/id.hpp"

namespace shunt {

/// Division of one layer's tokens over its slots: exact counts per (source rank, slot), and the
/// dropped tokens.
struct token_split {
  std::int32_t sources = 0;
  std::int32_t slots = 0;
  std::int32_t experts = 0;
  std::vector<std::int64_t>
      tokens{};  ///< sources x slots: tokens that the source sends to the slot
  /// sources x experts: tokens of the source that no slot takes.
  std::vector<std::int64_t> dropped{};

  [[nodiscard]] SHUNT_CONSTEXPR std::int64_t& sent(rank_id source, slot_id slot);
  [[nodiscard]] SHUNT_CONSTEXPR std::int64_t sent(rank_id source, slot_id slot) const;
  [[nodiscard]] SHUNT_CONSTEXPR std::int64_t& drops(rank_id source, expert_id expert);
  [[nodiscard]] SHUNT_CONSTEXPR std::int64_t drops(rank_id source, expert_id expert) const;
  bool operator==(token_split const&) const = default;
};

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/plan/token_split.ipp"
#endif
