#pragma once
#include "shunt/lower/shard_recovery.hpp"

#include <algorithm>
#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "shunt/core/error.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/lower/expert_buffers.hpp"

namespace shunt {

SHUNT_CONSTEXPR void state_recovery::operator()(program_builder& b, optimizer_state const& state,
                                                shard_map const& before,
                                                shard_recovery const& recovery, buffer_id from,
                                                buffer_id to) const {
  validate(state);
  if (planes < 1 || state.state_bytes % planes != 0)
    throw invalid_problem("planes", std::to_string(planes) + " don't divide " +
                                        std::to_string(state.state_bytes) + " bytes of state");
  for (shard_map const* map : {&before, &recovery.map})
    if (map->elements != state.elements ||
        map->shards.size() != static_cast<std::size_t>(state.experts))
      throw invalid_problem("shards", "speak of other experts than the optimizer's state");
  for (expert_id e : ids<expert_id>(state.experts)) {
    auto const& was = before.shards[e];
    if (!std::equal(
            was.begin(), was.end(), recovery.map.shards[e].begin(), recovery.map.shards[e].end(),
            [](shard const& x, shard const& y) { return x.begin == y.begin && x.end == y.end; }))
      throw invalid_problem("shards[" + std::to_string(e.value()) + "]",
                            "are cut otherwise after the recovery");
  }
  auto const old_places = held_shards(before, state.ranks),
             new_places = held_shards(recovery.map, state.ranks);
  indexed<rank_id, std::int64_t> old_size, new_size;
  for (rank_id r : ids<rank_id>(state.ranks)) {
    old_size.push_back(held_elements(before, r));
    new_size.push_back(held_elements(recovery.map, r));
  }
  std::int64_t const width = state.state_bytes / planes;
  auto const place = [&](auto const& places, auto const& sizes, buffer_id buffer, expert_id e,
                         std::size_t k, rank_id r, std::int64_t size,
                         std::int32_t plane) -> region {
    for (held_shard const& h : places[e])
      if (h.holder == r && static_cast<std::size_t>(h.shard) == k)
        return {buffer, (plane * sizes[r] + h.offset) * width, size * width};
    throw invalid_program("rank " + std::to_string(r.value()) + " doesn't hold shard " +
                          std::to_string(k) + " of expert " + std::to_string(e.value()));
  };
  auto const shard_of = [&](shard_copy const& c) {
    auto const& shards = before.shards[c.expert];
    for (std::size_t k = 0; k < shards.size(); ++k)
      if (shards[k].begin == c.begin && shards[k].end == c.end) return k;
    throw invalid_program("a copy of something else than a shard of expert " +
                          std::to_string(c.expert.value()));
  };
  for (rank_id r : ids<rank_id>(state.ranks)) {
    if (new_size[r] == 0) continue;
    b.buffer(r, from, old_size[r] * state.state_bytes, true);
    b.buffer(r, to, new_size[r] * state.state_bytes, true);
  }
  placing const together{.batch = batch};
  for (shard_copy const& c : recovery.copies)
    for (std::int32_t q = 0; q < planes; ++q)
      b.send(c.from, c.to,
             place(old_places, old_size, from, c.expert, shard_of(c), c.from, c.end - c.begin, q),
             channel, together);
  for (shard_copy const& c : recovery.copies)
    for (std::int32_t q = 0; q < planes; ++q)
      b.receive(c.to, c.from,
                place(new_places, new_size, to, c.expert, shard_of(c), c.to, c.end - c.begin, q),
                channel, together);
  for (expert_id e : ids<expert_id>(state.experts))
    for (held_shard const& h : new_places[e]) {
      auto const k = static_cast<std::size_t>(h.shard);
      if (!before.shards[e][k].held_by(h.holder)) continue;
      std::int64_t const size = before.shards[e][k].size();
      for (std::int32_t q = 0; q < planes; ++q)
        b.copy(h.holder, place(old_places, old_size, from, e, k, h.holder, size, q),
               place(new_places, new_size, to, e, k, h.holder, size, q));
    }
}

SHUNT_CONSTEXPR program lower(optimizer_state const& state, shard_map const& before,
                              shard_recovery const& recovery, state_recovery how) {
  program_builder b(state.ranks);
  how(b, state, before, recovery, 0, 1);
  return std::move(b).finish();
}

}  // namespace shunt
