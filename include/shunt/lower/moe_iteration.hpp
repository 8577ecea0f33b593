#pragma once
/// One training iteration of a model with mixture-of-experts layers as a program (SwiftMoE, section 3): tokens travel to the slots of
/// their experts and back, gradients of tokens travel the same way, gradients of experts to the owners of the optimizer's shards.
///
/// A second program follows it (lower/weight_scatter.hpp) that fills the slots for the next iteration's placement, which becomes known
/// when the first one has counted the tokens. Both name the same buffers, those of `moe_buffers`.
///
/// What the operations compute is the caller's: this lowering says which buffers each reads and writes, in this order.
///
///   | operation       | reads                                         | writes                                            |
///   |-----------------|-----------------------------------------------|---------------------------------------------------|
///   | route           | dense; hidden but in layer 0                  | hidden, kept, counts                              |
///   | split           | kept, all_counts                              | kept, shares, outgoing, outgoing_counts           |
///   | expert_forward  | arrived, shares, weights                      | outgoing, outgoing_counts                         |
///   | combine         | answers, shares, hidden, kept                 | hidden, kept                                      |
///   |   last layer    | and dense, sums                               | and sums: head, loss, and their backward pass     |
///   | uncombine       | answers, shares, hidden, kept                 | kept, outgoing, outgoing_counts                   |
///   | expert_backward | arrived, incoming, shares, weights, sums      | slot_gradients, outgoing, outgoing_counts, sums   |
///   | unsplit         | incoming, shares, kept, hidden, dense, sums   | hidden, sums                                      |
///   | step of a layer | shard_gradients, state                        | state, weight_shards                              |
///   | step of `layers`| sums, dense                                   | dense                                             |
///
/// Size: per rank 11 instructions a layer, and the collection's. Complexity: linear in the size.
#include <algorithm>
#include <cstdint>
#include <initializer_list>
#include <numeric>
#include <vector>

#include "shunt/core/error.hpp"
#include "shunt/core/id.hpp"
#include "shunt/core/units.hpp"
#include "shunt/plan/expert_placement.hpp"
#include "shunt/plan/shard_map.hpp"
#include "shunt/problem/optimizer_state.hpp"
#include "shunt/program/builder.hpp"
#include "shunt/program/program.hpp"

namespace shunt {

/// Sizes that a MoE iteration has whatever its placement. All ranks bring equally many tokens.
struct moe_shape {
  std::int32_t layers = 1;
  std::int64_t tokens = 1;         ///< of one rank in one iteration
  std::int64_t slot_capacity = 1;  ///< tokens that a slot takes in one iteration
  byte_count token_bytes = 4;      ///< a token, an answer and their gradients as they travel
  byte_count hidden_bytes = 4;     ///< what a rank hands from layer to layer for all its tokens, forwards and backwards
  byte_count kept_bytes = 4;       ///< what a rank keeps of a layer's routing until its backward pass
  byte_count dense_bytes = 4;      ///< all but the experts: parameters and optimizer state, the same on every rank
  std::int64_t sums = 1;           ///< int64 numbers added over all ranks: the dense gradient, and what else the caller counts
  optimizer_state experts{};       ///< of one layer

  constexpr bool operator==(moe_shape const&) const = default;
};

/// The numbers under which a rank of a MoE iteration keeps its buffers. What travels lies in one part for each rank, `part_tokens` long.
struct moe_buffers {
  // of the whole model
  static constexpr buffer_id dense{0};            ///< dense_bytes; persistent
  static constexpr buffer_id sums{1};             ///< int64
  static constexpr buffer_id hidden{2};           ///< hidden_bytes
  static constexpr buffer_id outgoing{3};         ///< ranks x part_tokens x token_bytes
  static constexpr buffer_id outgoing_counts{4};  ///< int64 bytes, one a rank
  static constexpr buffer_id incoming{5};         ///< like outgoing
  static constexpr buffer_id incoming_counts{6};  ///< like outgoing_counts

  // of a layer
  static constexpr buffer_id kept(layer_id l) { return at(l, 0); }             ///< kept_bytes
  static constexpr buffer_id counts(layer_id l) { return at(l, 1); }           ///< int64 tokens of this rank, one an expert
  static constexpr buffer_id all_counts(layer_id l) { return at(l, 2); }       ///< the same of all ranks: ranks x experts
  static constexpr buffer_id shares(layer_id l) { return at(l, 3); }           ///< int64 tokens: ranks x slots of all ranks
  static constexpr buffer_id arrived(layer_id l) { return at(l, 4); }          ///< tokens for this rank's slots, like outgoing
  static constexpr buffer_id answers(layer_id l) { return at(l, 5); }          ///< answers to this rank's tokens, like outgoing
  static constexpr buffer_id weights(layer_id l) { return at(l, 6); }          ///< this rank's slots x expert; persistent
  static constexpr buffer_id slot_gradients(layer_id l) { return at(l, 7); }   ///< this rank's slots x expert
  static constexpr buffer_id shard_gradients(layer_id l) { return at(l, 8); }  ///< this rank's shards, expert by expert
  static constexpr buffer_id state(layer_id l) { return at(l, 9); }            ///< what the optimizer keeps of them; persistent
  static constexpr buffer_id weight_shards(layer_id l) { return at(l, 10); }   ///< updated weights of them; persistent

 private:
  static constexpr buffer_id at(layer_id l, std::int32_t kind) { return 7 + 11 * l.value() + kind; }
};

/// Tokens that one rank sends to another at most.
[[nodiscard]] constexpr std::int64_t part_tokens(moe_shape const& shape, expert_placement const& placement) {
  std::int64_t slots = 0;
  for (std::int32_t r = 0; r < placement.ranks(); ++r)
    slots = std::max<std::int64_t>(slots, placement.first_slot[static_cast<std::size_t>(r) + 1] - placement.first_slot[static_cast<std::size_t>(r)]);
  return shape.slot_capacity > shape.tokens ? shape.tokens : std::min(shape.tokens, slots * shape.slot_capacity);
}

}  // namespace shunt
