#pragma once
#include <cstdint>
#include <limits>
#include <vector>

#include "shunt/core/config.hpp"
#include "shunt/core/id.hpp"

namespace shunt {

/// A slot capacity without a limit: no token is dropped.
inline constexpr std::int64_t dropless = std::numeric_limits<std::int64_t>::max();

/// The capacity factor as a fraction, so that capacities are exact.
struct capacity_factor {
  std::int64_t numerator = 1;
  std::int64_t denominator = 1;
  bool operator==(capacity_factor const&) const = default;
};

/// Returns the tokens that a slot takes: capacity factor x tokens of the layer / (s N), rounded up.
/// An expert takes that times its replicas.
/// Throws invalid_problem where tokens or the numerator are negative, the denominator or the slots
/// are not positive, or a product exceeds 64 bits.
/// Reference: SYMI (arXiv 2504.19925), section 3.
[[nodiscard]] SHUNT_CONSTEXPR std::int64_t slot_capacity(std::int64_t tokens, std::int32_t slots,
                                                         capacity_factor const& factor = {});

/// The tokens of one layer after routing, and the slots that can take them.
struct routed_tokens {
  std::int32_t experts = 1;
  /// ranks x experts, row-major: tokens of the rank that are routed to the expert.
  std::vector<std::int64_t> counts{};
  /// ranks + 1 entries: slots first_slot[r] .. first_slot[r+1]-1 belong to rank r.
  std::vector<std::int32_t> first_slot{0};
  std::vector<expert_id> expert_of{};  ///< the expert of each slot
  std::int64_t capacity = dropless;    ///< tokens that a slot takes

  [[nodiscard]] SHUNT_CONSTEXPR std::int32_t ranks() const;
  [[nodiscard]] SHUNT_CONSTEXPR std::int32_t slots() const;
  [[nodiscard]] SHUNT_CONSTEXPR std::int64_t count(rank_id source, expert_id e) const;
  bool operator==(routed_tokens const&) const = default;
};

/// Throws invalid_problem, which names field, row and value, where there is no rank or expert,
/// `first_slot` doesn't ascend from 0, a slot holds an unknown expert, a table has another shape
/// than documented, a count or the capacity is negative, or an expert has 2^31 tokens or more.
SHUNT_CONSTEXPR void validate(routed_tokens const& p);

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/problem/routed_tokens.ipp"
#endif
