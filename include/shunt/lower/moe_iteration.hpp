#pragma once
/// Lowers one training iteration of a model with mixture-of-experts layers (SwiftMoE, section 3).
/// Tokens travel to the slots of their experts and back, gradients of tokens travel the same way,
/// and gradients of experts travel to the owners of the optimizer's shards. A second program, a
/// weight scatter, fills the slots for the next placement. Both use the buffers of `moe_buffers`.
/// The regions of each operation, and how dead ranks are treated, see docs/lowering.md.
#include <cstdint>

#include "shunt/core/config.hpp"
#include "shunt/core/id.hpp"
#include "shunt/core/units.hpp"
#include "shunt/lower/expert_buffers.hpp"
#include "shunt/lower/gradient_collection.hpp"
#include "shunt/lower/shard_recovery.hpp"
#include "shunt/lower/weight_scatter.hpp"
#include "shunt/plan/expert_placement.hpp"
#include "shunt/plan/microbatch_owners.hpp"
#include "shunt/plan/shard_map.hpp"
#include "shunt/plan/shard_recovery.hpp"
#include "shunt/problem/optimizer_state.hpp"
#include "shunt/program/program.hpp"

namespace shunt {

/// Sizes of a mixture-of-experts iteration under any placement. All micro-batches have the same
/// number of tokens.
struct moe_shape {
  std::int32_t layers = 1;
  std::int64_t tokens = 1;         ///< of one micro-batch
  std::int64_t slot_capacity = 1;  ///< tokens that a slot takes in one iteration
  byte_count token_bytes = 4;      ///< a token, an expert's output and their gradients in messages
  /// Activations passed from layer to layer for a micro-batch, forwards and backwards.
  byte_count hidden_bytes = 4;
  /// Routing of a micro-batch in a layer, kept until its backward pass.
  byte_count kept_bytes = 4;
  /// All but the experts: parameters and optimizer state, the same on every rank.
  byte_count dense_bytes = 4;
  /// int64 numbers summed over all ranks: the dense gradient, and counts of the caller.
  std::int64_t sums = 1;
  optimizer_state experts{};   ///< of one layer
  microbatch_owners owners{};  ///< empty: all ranks live, each with the micro-batch of its number

  bool operator==(moe_shape const&) const = default;
};

/// Returns the owners of the micro-batches of a shape, also where `owners` is empty.
[[nodiscard]] SHUNT_CONSTEXPR microbatch_owners owners_of(moe_shape const& shape);

/// Buffer numbers of a rank in a mixture-of-experts iteration. Travelling data has one part per
/// live rank, of `part_tokens` for each of the most micro-batches of a rank.
struct moe_buffers {
  // of the whole model
  static constexpr buffer_id dense{0};   ///< dense_bytes; persistent
  static constexpr buffer_id sums{1};    ///< int64
  static constexpr buffer_id hidden{2};  ///< hidden_bytes per micro-batch of the rank
  /// live ranks x micro-batches x part_tokens x token_bytes
  static constexpr buffer_id outgoing{3};
  static constexpr buffer_id outgoing_counts{4};  ///< int64 bytes, one per live rank
  static constexpr buffer_id incoming{5};         ///< like outgoing
  static constexpr buffer_id incoming_counts{6};  ///< like outgoing_counts
  static constexpr buffer_id staged{7};  ///< parts of gradients on their way into shard_gradients

  // of a layer
  /// kept_bytes per micro-batch of the rank
  static constexpr buffer_id kept(layer_id l) { return at(l, 0); }
  /// int64 tokens: micro-batches of the rank x experts
  static constexpr buffer_id counts(layer_id l) { return at(l, 1); }
  /// counts of all live ranks
  static constexpr buffer_id all_counts(layer_id l) { return at(l, 2); }
  /// int64 tokens: all micro-batches x slots of all ranks
  static constexpr buffer_id shares(layer_id l) { return at(l, 3); }
  /// tokens for this rank's slots, like outgoing
  static constexpr buffer_id arrived(layer_id l) { return at(l, 4); }
  /// outputs of the experts for this rank's tokens, like outgoing
  static constexpr buffer_id answers(layer_id l) { return at(l, 5); }
  /// this rank's slots x expert; persistent
  static constexpr buffer_id weights(layer_id l) { return at(l, 6); }
  /// this rank's slots x expert
  static constexpr buffer_id slot_gradients(layer_id l) { return at(l, 7); }
  /// this rank's shards, by expert
  static constexpr buffer_id shard_gradients(layer_id l) { return at(l, 8); }
  /// optimizer state of this rank's shards; persistent
  static constexpr buffer_id state(layer_id l) { return at(l, 9); }
  /// updated weights of this rank's shards; persistent
  static constexpr buffer_id weight_shards(layer_id l) { return at(l, 10); }
  /// `state` after a recovery of shards; not used in iterations
  static constexpr buffer_id recovered(layer_id l) { return at(l, 11); }

 private:
  static constexpr buffer_id at(layer_id l, std::int32_t kind) { return 8 + 12 * l.value() + kind; }
};

/// Returns the buffers of a layer's experts for collection and scatter.
[[nodiscard]] SHUNT_CONSTEXPR expert_buffers expert_buffers_of(layer_id l);

/// Returns the most tokens of one micro-batch that go to one rank: all tokens, or as many as the
/// rank's slots take.
[[nodiscard]] SHUNT_CONSTEXPR std::int64_t part_tokens(moe_shape const& shape,
                                                       expert_placement const& placement);

namespace detail {

SHUNT_CONSTEXPR void validate(moe_shape const& shape);

/// Throws invalid_problem unless all owners are ranks and no other rank has slots or shards.
SHUNT_CONSTEXPR void validate(microbatch_owners const& owners, expert_placement const& placement,
                              shard_map const& map);

}  // namespace detail

/// Returns the first program: from routing to the optimizer's steps, with experts where `placement`
/// has them. It has 13 instructions per rank and layer, three more per rank, and those of the
/// collection, all on lane 0.
/// Throws invalid_problem where a size is not positive, ranks, experts or elements don't fit, or a
/// dead rank has slots or shards.
[[nodiscard]] SHUNT_CONSTEXPR program lower(moe_shape const& shape,
                                            expert_placement const& placement, shard_map const& map,
                                            gradient_collection how);

/// Returns the second program: scatters the updated weights of all layers to where `next` has their
/// experts. Before the first iteration it brings the initial weights.
/// Throws invalid_problem as the first program does.
[[nodiscard]] SHUNT_CONSTEXPR program lower(moe_shape const& shape, expert_placement const& next,
                                            shard_map const& map, weight_scatter how);

/// Returns the program that moves the optimizer's state of all layers after a loss of ranks,
/// between two iterations: from `state` under `before` to `recovered` under the recovery.
/// Afterwards the caller replaces `state` by `recovered` and scatters the weights of its shards
/// again.
/// Throws invalid_problem and invalid_program as state_recovery does.
[[nodiscard]] SHUNT_CONSTEXPR program lower(moe_shape const& shape, shard_map const& before,
                                            shard_recovery const& recovery, state_recovery how);

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/lower/moe_iteration.ipp"
#endif
