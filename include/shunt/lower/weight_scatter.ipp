#pragma once
#include "shunt/lower/weight_scatter.hpp"

#include <cstddef>
#include <utility>

#include "shunt/core/indexed.hpp"
#include "shunt/plan/expert_hosts.hpp"

namespace shunt {

SHUNT_CONSTEXPR void weight_scatter::operator()(program_builder& b, optimizer_state const& state,
                                                expert_placement const& next, layer_id layer,
                                                shard_map const& map,
                                                expert_buffers const& buffers) const {
  detail::match(state, next, layer, map);
  auto const hosts = hosts_of(next, layer);
  auto const offsets = shard_offsets(map, state.ranks);
  auto const in_slot = [&](std::int32_t slot, shard const& part) {
    return detail::in_slot(buffers.slot_weights, state.elements, state.weight_bytes, slot, part);
  };

  // Calls each(host, slot, shard, region of the shard at its owner) for every part that goes from
  // an owner to a slot.
  auto const parts = [&](auto const& each) {
    for (expert_id e : ids<expert_id>(state.experts))
      for (expert_host const& h : hosts[e])
        for (std::size_t i = 0; i < (deduplicate ? 1 : h.slots.size()); ++i)
          for (std::size_t k = 0; k < map.shards[e].size(); ++k) {
            shard const& s = map.shards[e][k];
            each(h.rank, h.slots[i], s,
                 region{buffers.shard_weights, offsets[e][k] * state.weight_bytes,
                        s.size() * state.weight_bytes});
          }
  };
  placing const together{.batch = batch};
  parts([&](rank_id host, std::int32_t, shard const& s, region const& source) {
    if (s.owner != host) b.send(s.owner, host, source, channel, together);
  });
  parts([&](rank_id host, std::int32_t slot, shard const& s, region const&) {
    if (s.owner != host) b.receive(host, s.owner, in_slot(slot, s), channel, together);
  });
  parts([&](rank_id host, std::int32_t slot, shard const& s, region const& source) {
    if (s.owner == host) b.copy(host, source, in_slot(slot, s));
  });
  if (!deduplicate) return;
  shard const whole{.owner = 0, .begin = 0, .end = state.elements};
  for (auto const& of_expert : hosts)
    for (expert_host const& h : of_expert)
      for (std::size_t i = 1; i < h.slots.size(); ++i)
        b.copy(h.rank, in_slot(h.slots[0], whole), in_slot(h.slots[i], whole));
}

SHUNT_CONSTEXPR program lower(optimizer_state const& state, expert_placement const& next,
                              shard_map const& map, weight_scatter how) {
  program_builder b(next.ranks());
  for (layer_id l : ids<layer_id>(next.layers)) {
    detail::match(state, next, l, map);
    expert_buffers const buffers{.slot_weights = 2 * l.value(), .shard_weights = 2 * l.value() + 1};
    declare_weight_buffers(b, state, next, map, buffers);
    how(b, state, next, l, map, buffers);
    ++how.batch;
  }
  return std::move(b).finish();
}

}  // namespace shunt
