#pragma once
#include <cstdint>
#include <vector>

#include "shunt/core/config.hpp"
#include "shunt/core/id.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/plan/expert_placement.hpp"
#include "shunt/plan/shard_map.hpp"
#include "shunt/problem/optimizer_state.hpp"
#include "shunt/program/builder.hpp"
#include "shunt/program/program.hpp"

namespace shunt {

/// Buffers of one layer's experts: one number per kind, the same on every rank.
struct expert_buffers {
  /// The rank's slots in order, all elements of each, gradient_bytes per element.
  buffer_id slot_gradients{0};
  /// The rank's shards, by expert and then by begin, without gaps, gradient_bytes per element.
  buffer_id shard_gradients{1};
  /// Parts of gradients on arrival, before they are added. Layers may share it.
  buffer_id staged_gradients{2};
  buffer_id slot_weights{3};   ///< like slot_gradients, weight_bytes per element
  buffer_id shard_weights{4};  ///< like shard_gradients, weight_bytes per element

  bool operator==(expert_buffers const&) const = default;
};

/// A shard on one of the ranks that hold it.
struct held_shard {
  rank_id holder{};
  std::int32_t shard = 0;   ///< its number among the expert's shards
  bool owned = true;        ///< false: mirrored
  std::int64_t offset = 0;  ///< its begin in the holder's shard buffers, in elements

  bool operator==(held_shard const&) const = default;
};

/// Returns every shard of every expert on every rank that holds it, in the order of shards, the
/// owner before the mirrors.
[[nodiscard]] SHUNT_CONSTEXPR indexed<expert_id, std::vector<held_shard>> held_shards(
    shard_map const& map, std::int32_t ranks);

/// Returns offset[e][k]: the begin of the k-th shard of expert e in its owner's shard buffers, in
/// elements.
[[nodiscard]] SHUNT_CONSTEXPR indexed<expert_id, std::vector<std::int64_t>> shard_offsets(
    shard_map const& map, std::int32_t ranks);

/// Returns the elements of all shards that a rank holds, owned and mirrored: the length of its
/// shard buffers.
[[nodiscard]] SHUNT_CONSTEXPR std::int64_t held_elements(shard_map const& map, rank_id holder);

namespace detail {

/// Throws invalid_problem unless state, placement and shards have the same ranks, experts and
/// elements, and the bytes fit 62 bits.
SHUNT_CONSTEXPR void match(optimizer_state const& state, expert_placement const& placement,
                           layer_id layer, shard_map const& map);

/// Returns the region of `part` in a slot of a buffer of slots.
SHUNT_CONSTEXPR region in_slot(buffer_id buffer, std::int64_t elements, std::int32_t bytes,
                               std::int32_t slot, shard const& part);

}  // namespace detail

/// Declares the buffers of gradient collection on every rank. All but staged_gradients are
/// persistent: slot gradients are inputs, shard gradients are results.
SHUNT_CONSTEXPR void declare_gradient_buffers(program_builder& b, optimizer_state const& state,
                                              expert_placement const& placement,
                                              shard_map const& map, expert_buffers const& buffers);

/// Declares the buffers of weight scatter on every rank. They are persistent: shard weights are
/// inputs, slot weights are results.
SHUNT_CONSTEXPR void declare_weight_buffers(program_builder& b, optimizer_state const& state,
                                            expert_placement const& placement, shard_map const& map,
                                            expert_buffers const& buffers);

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/lower/expert_buffers.ipp"
#endif
