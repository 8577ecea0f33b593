#pragma once
#include <cstdint>

#include "shunt/core/config.hpp"
#include "shunt/core/id.hpp"
#include "shunt/lower/expert_buffers.hpp"
#include "shunt/plan/expert_placement.hpp"
#include "shunt/plan/shard_map.hpp"
#include "shunt/problem/optimizer_state.hpp"
#include "shunt/program/builder.hpp"
#include "shunt/program/program.hpp"

namespace shunt {

/// Ways from the gradients of an expert's instances to the owners of its optimizer shards.
enum class collection_form : std::uint8_t {
  /// Part k of every instance's gradient goes straight to the owner of shard k, which adds them: s
  /// N G bytes in total, the volume in the paper's model. De-duplicated, a rank first adds its own
  /// instances and sends one gradient per expert.
  direct,
  /// The paper's way. A rank adds its instances into the first one (section 4.1), the hosts of an
  /// expert all-reduce, and each owner gets its part from one host (Algorithm 2): E G bytes after
  /// the reduction. Experts without a communicator (`reduction_groups`) go the direct way,
  /// de-duplicated. All of round 0 is issued before round 1, so that both run in parallel.
  reduce_then_gather,
};

/// Gradient collection of one layer. Afterwards every rank's shard_gradients hold, for each shard
/// that it owns or mirrors, the sum over all instances of the expert. The sum isn't divided: scale
/// it by the global number of tokens, never by replicas. slot_gradients may be overwritten with
/// partial sums. The previous content of shard_gradients and staged_gradients is lost.
///
/// Each rank gets, in this order: sums within the rank, collectives, all sends, all receives (one
/// batch with the sends), copies and sums of arrived parts. Both ends of a pair visit experts,
/// hosts, slots, shards in one order, so messages match by position. Sums of integers are exact in
/// any order. Floats are added in ascending order of rank and slot.
///
/// Throws invalid_problem where sizes don't fit each other, or an element of `type` hasn't
/// gradient_bytes.
/// Complexity: O(slots x shards of an expert) instructions.
/// Reference: SYMI (arXiv 2504.19925), section 4.
struct gradient_collection {
  collection_form form = collection_form::direct;
  bool deduplicate = true;  ///< direct only: one message for all instances of an expert on a rank
  /// reduce_then_gather only: hosts send equally much, see gather_sources.hpp. false: Algorithm 2.
  bool balance = true;
  element type = element::int64;  ///< of gradients; the default is fixed point
  std::int32_t channel = 0;       ///< of all messages
  std::int32_t batch = 0;         ///< of all messages

  SHUNT_CONSTEXPR void operator()(program_builder& b, optimizer_state const& state,
                                  expert_placement const& placement, layer_id layer,
                                  shard_map const& map, expert_buffers const& buffers) const;
};

/// Returns the gradient collection of all layers as one program. Layer l uses buffers 3 l .. 3 l +
/// 2 (slot, shard and staged gradients) and batch `how.batch` + l.
/// Throws invalid_problem as gradient_collection does.
[[nodiscard]] SHUNT_CONSTEXPR program lower(optimizer_state const& state,
                                            expert_placement const& placement, shard_map const& map,
                                            gradient_collection how);

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/lower/gradient_collection.ipp"
#endif
