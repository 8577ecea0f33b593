#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "shunt/core/config.hpp"
#include "shunt/core/id.hpp"
#include "shunt/plan/expert_moves.hpp"
#include "shunt/plan/expert_placement.hpp"
#include "shunt/problem/expert_layers.hpp"

namespace shunt {

/// One error in a list of moves.
struct move_violation {
  enum class kind : std::uint8_t {
    no_slot,         ///< a layer or slot that the placement lacks, or a rank that isn't the slot's
    other_expert,    ///< the placement has another expert in the slot
    no_change,       ///< the previous placement has the expert in the slot already
    moved_twice,     ///< an earlier move fills the slot
    not_held,        ///< the sender's slot neither holds the expert nor gets it by an earlier move
    needless_fetch,  ///< from outside, though a live rank holds the expert
    no_move,         ///< a slot gets another expert without a move
  };
  kind what{};
  std::int32_t move = -1;  ///< position in the list; -1 for no_move
  layer_id layer{};
  slot_id slot{};
  expert_id expert{};

  bool operator==(move_violation const&) const = default;
};

/// Returns one line that names the place and the error.
[[nodiscard]] std::string to_string(move_violation const& v);

/// Checks the moves from a problem's previous placement to a plan.
/// Returns all errors: one a move at most, in order, then the slots that lack a move.
/// Requires a plan that check accepts and `previous`.
/// Complexity: O(layers x (slots + experts) + moves).
[[nodiscard]] SHUNT_CONSTEXPR std::vector<move_violation> check(expert_layers const& problem,
                                                                expert_placement const& plan,
                                                                std::span<expert_move const> moves);

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/check/expert_moves.ipp"
#endif
