#pragma once
#include "shunt/lower/expert_buffers.hpp"

#include <algorithm>
#include <cstddef>
#include <string>

#include "shunt/core/error.hpp"
#include "shunt/core/units.hpp"

namespace shunt {

SHUNT_CONSTEXPR indexed<expert_id, std::vector<held_shard>> held_shards(shard_map const& map,
                                                                        std::int32_t ranks) {
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

SHUNT_CONSTEXPR indexed<expert_id, std::vector<std::int64_t>> shard_offsets(shard_map const& map,
                                                                            std::int32_t ranks) {
  indexed<expert_id, std::vector<std::int64_t>> offsets(map.shards.size());
  auto const held = held_shards(map, ranks);
  for (expert_id e : ids<expert_id>(map.shards.size()))
    for (held_shard const& h : held[e])
      if (h.owned) offsets[e].push_back(h.offset);
  return offsets;
}

SHUNT_CONSTEXPR std::int64_t held_elements(shard_map const& map, rank_id holder) {
  std::int64_t sum = 0;
  for (auto const& shards : map.shards)
    for (shard const& s : shards) sum += s.held_by(holder) ? s.size() : 0;
  return sum;
}

}  // namespace shunt

namespace shunt::detail {

// Returns the elements of staged_gradients that a holder needs under any placement: its part of
// the expert of which it holds most, times the slots.
SHUNT_CONSTEXPR std::int64_t staged_elements(shard_map const& map, rank_id holder,
                                             std::int32_t slots) {
  std::int64_t most = 0;
  for (auto const& shards : map.shards) {
    std::int64_t of_expert = 0;
    for (shard const& s : shards) of_expert += s.held_by(holder) ? s.size() : 0;
    most = std::max(most, of_expert);
  }
  return most * slots;
}

SHUNT_CONSTEXPR void match(optimizer_state const& state, expert_placement const& placement,
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

SHUNT_CONSTEXPR region in_slot(buffer_id buffer, std::int64_t elements, std::int32_t bytes,
                               std::int32_t slot, shard const& part) {
  return {buffer, (slot * elements + part.begin) * bytes, part.size() * bytes};
}

}  // namespace shunt::detail

namespace shunt {

SHUNT_CONSTEXPR void declare_gradient_buffers(program_builder& b, optimizer_state const& state,
                                              expert_placement const& placement,
                                              shard_map const& map, expert_buffers const& buffers) {
  for (rank_id r : ids<rank_id>(placement.ranks())) {
    std::int64_t const slots =
        placement.first_slot[r.index() + 1] - placement.first_slot[r.index()];
    b.buffer(r, buffers.slot_gradients, slots * state.elements * state.gradient_bytes, true);
    b.buffer(r, buffers.shard_gradients, held_elements(map, r) * state.gradient_bytes, true);
    b.buffer(r, buffers.staged_gradients,
             detail::staged_elements(map, r, placement.slots()) * state.gradient_bytes);
  }
}

SHUNT_CONSTEXPR void declare_weight_buffers(program_builder& b, optimizer_state const& state,
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
