#pragma once
#include <cstdint>
#include <vector>

#include "shunt/core/config.hpp"
#include "shunt/core/id.hpp"
#include "shunt/plan/expert_placement.hpp"
#include "shunt/problem/expert_layers.hpp"

namespace shunt {

/// A slot that gets another expert, and where it comes from. Slots are those of the placement.
struct expert_move {
  /// In place of a rank and a slot: no live rank held the expert. Its weights are made from its
  /// optimizer's shards or read from a checkpoint.
  static constexpr std::int32_t outside = -1;

  layer_id layer{};
  expert_id expert{};
  slot_id to{};
  rank_id receiver{};  ///< of slot `to`
  slot_id from{outside};
  rank_id sender{outside};  ///< of slot `from`; the receiver for a copy within a rank

  [[nodiscard]] constexpr bool is_outside() const { return sender == rank_id{outside}; }
  bool operator==(expert_move const&) const = default;
};

/// Returns a move for every slot whose expert differs from `previous`, by layer and slot; nothing
/// without a previous placement. All senders hold the expert in `previous`, but for a further slot
/// of a rank: that is a copy of the slot that an earlier move fills. A rank that held the expert
/// copies it itself. Else a rank of the receiver's node sends it, else any rank; among these the
/// one that sends the fewest so far, then the lowest. From outside comes only what no rank held.
/// The moves between two ranks or from outside are as many as moved_experts counts.
/// Requires a plan that check accepts.
/// Complexity: O(layers x (slots + experts) + moves x replicas).
[[nodiscard]] SHUNT_CONSTEXPR std::vector<expert_move> expert_moves_of(
    expert_layers const& problem, expert_placement const& plan);

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/plan/expert_moves.ipp"
#endif
