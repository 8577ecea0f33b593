#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "shunt/core/config.hpp"
#include "shunt/core/id.hpp"
#include "shunt/plan/token_split.hpp"
#include "shunt/problem/routed_tokens.hpp"

namespace shunt {

/// One error in a token split. Ids that a kind doesn't use are 0.
struct split_violation {
  enum class kind : std::uint8_t {
    shape,  ///< sources, slots, experts or the length of a table isn't the problem's
    /// A count below zero: of (source, slot), or of (source, expert) where `slot` is -1.
    negative,
    /// Tokens sent to the slots of an expert plus dropped tokens aren't the tokens routed to it.
    not_conserved,
    over_capacity,      ///< a slot gets more tokens than it takes
    dropped_with_room,  ///< an expert drops tokens although one of its slots has room
  };
  kind what{};
  rank_id source{};
  slot_id slot{};
  expert_id expert{};
  std::int64_t found = 0;
  std::int64_t wanted = 0;

  bool operator==(split_violation const&) const = default;
};

/// Returns one line that names the place, the error and the numbers.
[[nodiscard]] std::string to_string(split_violation const& v);

/// Checks a split: its shape, no negative count, no lost or additional token of a (source, expert),
/// no slot over capacity, and no drop while a slot of the expert has room.
/// Returns all errors, or those of the shape alone. Empty: the plan is valid.
/// Requires a problem that `validate` accepts.
[[nodiscard]] SHUNT_CONSTEXPR std::vector<split_violation> check(routed_tokens const& problem,
                                                                 token_split const& plan);

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/check/token_split.ipp"
#endif
