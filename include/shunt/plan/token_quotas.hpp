#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "shunt/core/config.hpp"
#include "shunt/core/id.hpp"

namespace shunt {

/// A copy of an expert for one micro-batch, and the number of the expert's tokens computed by it.
struct expert_copy {
  expert_id expert{};
  rank_id rank{};  ///< not the expert's home
  std::int64_t tokens = 0;

  bool operator==(expert_copy const&) const = default;
};

/// Copies of experts for one micro-batch, layer by layer. Tokens beyond those of an expert's copies
/// stay on its home rank.
struct token_quotas {
  /// layers + 1 entries: copies first_copy[l] .. first_copy[l+1]-1 belong to layer l.
  std::vector<std::int32_t> first_copy{0};
  std::vector<expert_copy> copies{};

  [[nodiscard]] SHUNT_CONSTEXPR std::int32_t layers() const;
  [[nodiscard]] SHUNT_CONSTEXPR std::span<expert_copy const> layer(layer_id l) const;
  bool operator==(token_quotas const&) const = default;
};

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/plan/token_quotas.ipp"
#endif
