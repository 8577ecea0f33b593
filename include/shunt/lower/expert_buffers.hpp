#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "shunt/core/error.hpp"
#include "shunt/core/id.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/core/units.hpp"
#include "shunt/plan/expert_placement.hpp"
#include "shunt/plan/shard_map.hpp"
#include "shunt/problem/optimizer_state.hpp"
#include "shunt/program/builder.hpp"

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

  constexpr bool operator==(expert_buffers const&) const = default;
};

/// A shard on one of the ranks that hold it.
struct held_shard {
  rank_id holder{};
  std::int32_t shard = 0;   ///< its number among the expert's shards
  bool owned = true;        ///< false: mirrored
  std::int64_t offset = 0;  ///< its begin in the holder's shard buffers, in elements

  constexpr bool operator==(held_shard const&) const = default;
};

/// Returns every shard of every expert on every rank that holds it, in the order of shards, the
/// owner before the mirrors.
[[nodiscard]] constexpr indexed<expert_id, std::vector<held_shard>> held_shards(
    shard_map const& map, std::int32_t ranks) {
  indexed<rank_id, std::int64_t> end(static_cast<std::size_t>(ranks));
  indexed<expert_id, std::vector<held_shard>> held(map.shards.size());
  for (expert_id e : ids<expert_id>(map.shards.size()))
    for (std::size_t k = 0; k < map.shards[e].size(); ++k) {
      shard const& s = map.shards[e][k];
      auto const put = [&](rank_id r, bool owned) {
        held[e].push_back({r, static_cast<std::int32_t>(k), owned, end[r]});
        end[r] += s.size();
      };
      put(s.owner, true);
      for (rank_id const r : s.mirrors) put(r, false);
    }
  return held;
}

/// Returns offset[e][k]: the begin of the k-th shard of expert e in its owner's shard buffers, in
/// elements.
[[nodiscard]] constexpr indexed<expert_id, std::vector<std::int64_t>> shard_offsets(
    shard_map const& map, std::int32_t ranks) {
  indexed<expert_id, std::vector<std::int64_t>> offsets(map.shards.size());
  auto const held = held_shards(map, ranks);
  for (expert_id e : ids<expert_id>(map.shards.size()))
    for (held_shard const& h : held[e])
      if (h.owned) offsets[e].push_back(h.offset);
  return offsets;
}

/// Returns the elements of all shards that a rank holds, owned and mirrored: the length of its
/// shard buffers.
[[nodiscard]] constexpr std::int64_t held_elements(shard_map const& map, rank_id holder) {
  std::int64_t sum = 0;
  for (auto const& shards : map.shards)
    for (shard const& s : shards) sum += s.held_by(holder) ? s.size() : 0;
  return sum;
}

namespace detail {

/// Returns the elements of staged_gradients that a holder needs under any placement: its part of
/// the expert of which it holds most, times the slots.
[[nodiscard]] constexpr std::int64_t staged_elements(shard_map const& map, rank_id holder,
                                                     std::int32_t slots) {
  std::int64_t most = 0;
  for (auto const& shards : map.shards) {
    std::int64_t of_expert = 0;
    for (shard const& s : shards) of_expert += s.held_by(holder) ? s.size() : 0;
    most = std::max(most, of_expert);
  }
  return most * slots;
}

/// Throws invalid_problem unless state, placement and shards have the same ranks, experts and
/// elements, and the bytes fit 62 bits.
constexpr void match(optimizer_state const& state, expert_placement const& placement,
                     layer_id layer, shard_map const& map) {
  validate(state);
  auto const same = [](char const* field, std::int64_t is, std::int64_t wanted) {
    if (is != wanted)
      throw invalid_problem(field, "must be the optimizer state's " + std::to_string(wanted) +
                                       ", is " + std::to_string(is));
  };
  same("placement.ranks", placement.ranks(), state.ranks);
  same("placement.experts", placement.experts, state.experts);
  same("shards.experts", static_cast<std::int64_t>(map.shards.size()), state.experts);
  same("shards.elements", map.elements, state.elements);
  if (layer < layer_id{0} || layer >= layer_id{placement.layers})
    throw invalid_problem("layer", "must be below " + std::to_string(placement.layers) + ", is " +
                                       std::to_string(layer.value()));
  auto const bytes = checked_multiply(
      state.elements * std::max(state.gradient_bytes, state.weight_bytes), placement.slots());
  if (!bytes || *bytes >= (std::int64_t{1} << 62))
    throw invalid_problem("elements", "the bytes of all slots are beyond 62 bits");
}

/// Returns the region of `part` in a slot of a buffer of slots.
constexpr region in_slot(buffer_id buffer, std::int64_t elements, std::int32_t bytes,
                         std::int32_t slot, shard const& part) {
  return {buffer, (slot * elements + part.begin) * bytes, part.size() * bytes};
}

}  // namespace detail

/// Declares the buffers of gradient collection on every rank. All but staged_gradients are
/// persistent: slot gradients are inputs, shard gradients are results.
constexpr void declare_gradient_buffers(program_builder& b, optimizer_state const& state,
                                        expert_placement const& placement, shard_map const& map,
                                        expert_buffers const& buffers) {
  for (rank_id r : ids<rank_id>(placement.ranks())) {
    std::int64_t const slots =
        placement.first_slot[r.index() + 1] - placement.first_slot[r.index()];
    b.buffer(r, buffers.slot_gradients, slots * state.elements * state.gradient_bytes, true);
    b.buffer(r, buffers.shard_gradients, held_elements(map, r) * state.gradient_bytes, true);
    b.buffer(r, buffers.staged_gradients,
             detail::staged_elements(map, r, placement.slots()) * state.gradient_bytes);
  }
}

/// Declares the buffers of weight scatter on every rank. They are persistent: shard weights are
/// inputs, slot weights are results.
constexpr void declare_weight_buffers(program_builder& b, optimizer_state const& state,
                                      expert_placement const& placement, shard_map const& map,
                                      expert_buffers const& buffers) {
  for (rank_id r : ids<rank_id>(placement.ranks())) {
    std::int64_t const slots =
        placement.first_slot[r.index() + 1] - placement.first_slot[r.index()];
    b.buffer(r, buffers.slot_weights, slots * state.elements * state.weight_bytes, true);
    b.buffer(r, buffers.shard_weights, held_elements(map, r) * state.weight_bytes, true);
  }
}

}  // namespace shunt
