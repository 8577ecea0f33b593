#pragma once
#include "shunt/lower/gradient_collection.hpp"

#include <cstddef>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "shunt/core/error.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/core/units.hpp"
#include "shunt/lower/gather_sources.hpp"
#include "shunt/lower/reduction_groups.hpp"
#include "shunt/plan/expert_hosts.hpp"

namespace shunt {

SHUNT_CONSTEXPR void gradient_collection::operator()(program_builder& b,
                                                     optimizer_state const& state,
                                                     expert_placement const& placement,
                                                     layer_id layer, shard_map const& map,
                                                     expert_buffers const& buffers) const {
  detail::match(state, placement, layer, map);
  if (size_of(type) != state.gradient_bytes)
    throw invalid_problem("gradient_bytes", "must be the " + std::to_string(size_of(type)) +
                                                " of the element type, is " +
                                                std::to_string(state.gradient_bytes));
  auto const hosts = hosts_of(placement, layer);
  auto const held = held_shards(map, state.ranks);
  bool const reduced = form == collection_form::reduce_then_gather;
  std::vector<reduction_group> groups;
  if (reduced) groups = reduction_groups(placement, layer);
  indexed<expert_id, char> gathered(hosts.size(), 0);  // a holder gets its part from one host
  for (expert_id e : ids<expert_id>(hosts.size())) gathered[e] = reduced && hosts[e].size() == 1;
  for (reduction_group const& g : groups) gathered[g.expert] = 1;
  indexed<expert_id, std::vector<rank_id>> sources(hosts.size());
  if (reduced && balance) sources = balanced_sources(hosts, held, gathered, state.ranks);
  auto const source = [&](expert_id e, std::size_t k) {
    return balance ? sources[e][k] : gradient_source(hosts[e], held[e][k].holder);
  };
  shard const whole{.owner = 0, .begin = 0, .end = state.elements};
  auto const in_slot = [&](std::int32_t slot, shard const& part) {
    return detail::in_slot(buffers.slot_gradients, state.elements, state.gradient_bytes, slot,
                           part);
  };

  auto const part_of = [&](expert_id e, std::size_t k) -> shard const& {
    return map.shards[e][static_cast<std::size_t>(held[e][k].shard)];
  };

  if (reduced || deduplicate)
    for (auto const& of_expert : hosts)
      for (expert_host const& h : of_expert)
        for (std::size_t k = 1; k < h.slots.size(); ++k)
          b.add(h.rank, type, in_slot(h.slots[k], whole), in_slot(h.slots[0], whole));
  for (reduction_group const& g : groups) {
    group_id const group = b.group(g.members);
    for (expert_host const& h : hosts[g.expert])
      b.all_reduce(h.rank, group, type, reduction::sum, in_slot(h.slots[0], whole));
  }

  // Calls each(expert, host, slot, index in `held`, whether it is the holder's first part) for
  // every part that goes from a slot to a holder.
  auto const parts = [&](auto const& each) {
    for (expert_id e : ids<expert_id>(state.experts)) {
      std::vector<bool> begun(held[e].size(), false);
      for (expert_host const& h : hosts[e]) {
        std::size_t const sending = reduced || deduplicate ? 1 : h.slots.size();
        for (std::size_t i = 0; i < sending; ++i)
          for (std::size_t k = 0; k < held[e].size(); ++k) {
            if (gathered[e] && source(e, k) != h.rank) continue;
            each(e, h.rank, h.slots[i], k, !begun[k]);
            begun[k] = true;
          }
      }
    }
  };
  placing const together{.batch = batch};
  parts([&](expert_id e, rank_id host, std::int32_t slot, std::size_t k, bool) {
    rank_id const holder = held[e][k].holder;
    if (holder != host) b.send(host, holder, in_slot(slot, part_of(e, k)), channel, together);
  });
  struct folding {
    rank_id holder;
    region source, target;
    bool first;
  };
  std::vector<folding> rest;
  indexed<rank_id, byte_count> staged(static_cast<std::size_t>(state.ranks));
  parts([&](expert_id e, rank_id host, std::int32_t slot, std::size_t k, bool first) {
    rank_id const holder = held[e][k].holder;
    byte_count const size = part_of(e, k).size() * state.gradient_bytes;
    region const target{buffers.shard_gradients, held[e][k].offset * state.gradient_bytes, size};
    if (holder == host) {
      rest.push_back({holder, in_slot(slot, part_of(e, k)), target, first});
    } else if (first) {
      b.receive(holder, host, target, channel, together);
    } else {
      region const arrival{buffers.staged_gradients, staged[holder], size};
      staged[holder] += size;
      b.receive(holder, host, arrival, channel, together);
      rest.push_back({holder, arrival, target, false});
    }
  });
  for (folding const& f : rest)
    if (f.first)
      b.copy(f.holder, f.source, f.target);
    else
      b.add(f.holder, type, f.source, f.target);
}

SHUNT_CONSTEXPR program lower(optimizer_state const& state, expert_placement const& placement,
                              shard_map const& map, gradient_collection how) {
  program_builder b(placement.ranks());
  for (layer_id l : ids<layer_id>(placement.layers)) {
    detail::match(state, placement, l, map);
    expert_buffers const buffers{.slot_gradients = 3 * l.value(),
                                 .shard_gradients = 3 * l.value() + 1,
                                 .staged_gradients = 3 * l.value() + 2};
    declare_gradient_buffers(b, state, placement, map, buffers);
    how(b, state, placement, l, map, buffers);
    ++how.batch;
  }
  return std::move(b).finish();
}

}  // namespace shunt
