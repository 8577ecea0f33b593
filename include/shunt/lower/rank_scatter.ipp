#pragma once
#include "shunt/lower/rank_scatter.hpp"

#include <algorithm>
#include <string>

#include "shunt/core/error.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/lower/expert_buffers.hpp"

namespace shunt {

SHUNT_CONSTEXPR rank_scatter::rank_scatter(optimizer_state const& state, shard_map const& map,
                                           std::span<std::int32_t const> first_slot,
                                           std::int32_t layers, rank_id self, weight_scatter how)
    : self_(self),
      layers_(layers),
      how_(how),
      whole_(state.elements * state.weight_bytes),
      first_slot_(first_slot.begin(), first_slot.end()),
      parts_(map.shards.size()),
      next_(map.shards.size() + 1, 0) {
  expert_placement const shape{
      .layers = layers, .experts = state.experts, .first_slot = first_slot_, .expert_of = {}};
  detail::match(state, shape, 0, map);
  if (self < rank_id{0} || self >= rank_id{state.ranks})
    throw invalid_problem("self", "must be below " + std::to_string(state.ranks) + ", is " +
                                      std::to_string(self.value()));
  for (rank_id r : ids<rank_id>(state.ranks))
    rank_of_.insert(rank_of_.end(),
                    static_cast<std::size_t>(first_slot_[r.index() + 1] - first_slot_[r.index()]),
                    r);
  hosted_.resize(rank_of_.size(), 0);
  in_order_.resize(rank_of_.size(), 0);
  for (std::size_t s = 0; s < in_order_.size(); ++s) in_order_[s] = static_cast<std::int32_t>(s);
  listed_.resize(static_cast<std::size_t>(layers) * rank_of_.size() + 1);
  ends_.resize(static_cast<std::size_t>(layers), 0);
  auto const offsets = shard_offsets(map, state.ranks);
  for (expert_id e : ids<expert_id>(state.experts))
    for (std::size_t k = 0; k < map.shards[e].size(); ++k) {
      shard const& s = map.shards[e][k];
      (s.owner == self ? parts_[e.index()].own : parts_[e.index()].others)
          .push_back({s.owner, offsets[e][k] * state.weight_bytes, s.begin * state.weight_bytes,
                      s.size() * state.weight_bytes});
    }
  program_.buffers.resize(2 * static_cast<std::size_t>(layers));
  for (layer_id l : ids<layer_id>(layers)) {
    program_.buffers[2 * l.value()] = {
        (first_slot_[self.index() + 1] - first_slot_[self.index()]) * whole_, true};
    program_.buffers[2 * l.value() + 1] = {held_elements(map, self) * state.weight_bytes, true};
  }
}

SHUNT_CONSTEXPR rank_program const& rank_scatter::operator()(expert_placement const& next) {
  if (next.layers != layers_ || next.experts != static_cast<std::int32_t>(parts_.size()) ||
      next.first_slot != first_slot_)
    throw invalid_problem("placement", "isn't of the shape that this list was made for");
  count(next);
  place at{program_.instructions.data(), program_.regions.data()};
  for (layer_id l : ids<layer_id>(layers_)) at = write(l, at);
  return program_;
}

SHUNT_CONSTEXPR void rank_scatter::count(expert_placement const& next) {
  std::size_t messages = 0, copies = 0, end = 0;
  for (layer_id l : ids<layer_id>(layers_)) {
    std::size_t const begin = end;
    end = list(next.layer(l), end);
    ends_[l.index()] = end;
    for (std::size_t x = begin; x < end; ++x) {
      auto const& parts = of(listed_[x].expert);
      if (listed_[x].rank != self_) {
        messages += parts.own.size();
      } else if (repeats(listed_[x])) {
        ++copies;
      } else {
        messages += parts.others.size();
        copies += parts.own.size();
      }
    }
  }
  program_.instructions.resize(messages + copies);
  program_.regions.resize(messages + 2 * copies);
}

SHUNT_CONSTEXPR std::size_t rank_scatter::list(std::span<expert_id const> expert_of,
                                               std::size_t end) {
  std::int32_t const* order = in_order_.data();
  if (!std::is_sorted(expert_of.begin(), expert_of.end())) {
    std::fill(next_.begin(), next_.end(), 0);
    for (expert_id const e : expert_of) ++next_[e.index() + 1];
    for (std::size_t e = 0; e + 1 < next_.size(); ++e) next_[e + 1] += next_[e];
    for (std::size_t s = 0; s < expert_of.size(); ++s)
      hosted_[static_cast<std::size_t>(next_[expert_of[s].index()]++)] =
          static_cast<std::int32_t>(s);
    order = hosted_.data();
  }
  instance now{.expert = -1};
  for (std::size_t k = 0; k < expert_of.size(); ++k) {
    std::int32_t const slot = order[k], e = expert_of[static_cast<std::size_t>(slot)].value();
    rank_id const r = rank_of_[static_cast<std::size_t>(slot)];
    now = {e, slot, e == now.expert && r == now.rank ? now.first : slot, r};
    listed_[end] = now;
    end += r == self_ || !repeats(now);
  }
  return end;
}

SHUNT_CONSTEXPR rank_scatter::place rank_scatter::write(layer_id l, place next) const {
  instruction* i = next.i;
  region* r = next.r;
  std::size_t const first = l == layer_id{0} ? 0 : ends_[l.index() - 1];
  auto const listed = std::span(listed_).subspan(first, ends_[l.index()] - first);
  buffer_id const slots{2 * l.value()}, shards{2 * l.value() + 1};
  std::int32_t const batch = how_.batch + l.value(), base = first_slot_[self_.index()];
  auto at = static_cast<std::int32_t>(r - program_.regions.data());
  auto const message = [&](opcode code, rank_id peer, region const& which) {
    std::int32_t const reads = code == opcode::send;
    *i++ = {.code = code,
            .channel = how_.channel,
            .batch = batch,
            .peer = peer,
            .reads = {at, reads},
            .writes = {at + reads, 1 - reads}};
    *r++ = which;
    ++at;
  };
  auto const copy = [&](region const& source, region const& target) {
    *i++ = {.code = opcode::copy, .reads = {at, 1}, .writes = {at + 1, 1}};
    *r++ = source;
    *r++ = target;
    at += 2;
  };
  auto const in_slot = [&](std::int32_t slot, part const& p) {
    return region{slots, (slot - base) * whole_ + p.begin, p.size};
  };
  part const all{.size = whole_};

  for (instance const& x : listed)
    if (x.rank != self_)
      for (part const& p : of(x.expert).own)
        message(opcode::send, x.rank, {shards, p.source, p.size});
  for (instance const& x : listed)
    if (x.rank == self_ && !repeats(x))
      for (part const& p : of(x.expert).others)
        message(opcode::receive, p.owner, in_slot(x.slot, p));
  for (instance const& x : listed)
    if (x.rank == self_ && !repeats(x))
      for (part const& p : of(x.expert).own) copy({shards, p.source, p.size}, in_slot(x.slot, p));
  for (instance const& x : listed)
    if (x.rank == self_ && repeats(x)) copy(in_slot(x.first, all), in_slot(x.slot, all));
  return {i, r};
}

SHUNT_CONSTEXPR bool rank_scatter::repeats(instance const& x) const {
  return how_.deduplicate && x.first != x.slot;
}

SHUNT_CONSTEXPR rank_scatter::expert_parts const& rank_scatter::of(std::int32_t e) const {
  return parts_[static_cast<std::size_t>(e)];
}

}  // namespace shunt
