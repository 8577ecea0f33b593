#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "shunt/core/error.hpp"
#include "shunt/core/id.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/core/units.hpp"
#include "shunt/lower/expert_buffers.hpp"
#include "shunt/lower/weight_scatter.hpp"
#include "shunt/plan/expert_placement.hpp"
#include "shunt/plan/shard_map.hpp"
#include "shunt/problem/optimizer_state.hpp"
#include "shunt/program/program.hpp"

namespace shunt {

/// Weight scatter of all layers for one rank, for ranks that plan every iteration anew: the same
/// instructions that lower(state, next, map, how) gives this rank. Ranks that get the same
/// placement write matching lists.
///
/// Shards are fixed, and so is most of every instruction; a placement changes only the peers. Make
/// it once per rank. A call allocates nothing unless its list is longer than all before.
///
/// Complexity: O(slots x shards of a rank + own slots x shards of an expert) per layer: with N
/// equal ranks the N-th part of the whole program.
class rank_scatter {
 public:
  /// `first_slot`: that of all later placements.
  /// Throws invalid_problem where sizes don't fit each other or the rank doesn't exist.
  constexpr rank_scatter(optimizer_state const& state, shard_map const& map,
                         std::span<std::int32_t const> first_slot, std::int32_t layers,
                         rank_id self, weight_scatter how = {})
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

  /// Returns this rank's list for a placement, valid until the next call.
  /// Throws invalid_problem where layers, experts or slots differ from those of the constructor.
  constexpr rank_program const& operator()(expert_placement const& next) {
    if (next.layers != layers_ || next.experts != static_cast<std::int32_t>(parts_.size()) ||
        next.first_slot != first_slot_)
      throw invalid_problem("placement", "isn't of the shape that this list was made for");
    count(next);
    place at{program_.instructions.data(), program_.regions.data()};
    for (layer_id l : ids<layer_id>(layers_)) at = write(l, at);
    return program_;
  }

 private:
  struct part {
    rank_id owner{};
    byte_count source = 0, begin = 0, size = 0;  ///< offset at its owner, offset in the expert
  };
  struct expert_parts {
    std::vector<part> own{}, others{};
  };
  struct instance {
    std::int32_t expert = 0;
    std::int32_t slot = 0;   ///< counted over all ranks
    std::int32_t first = 0;  ///< the expert's first slot on this rank
    rank_id rank{};
  };

  /// Lists the instances that this rank serves or holds, and sizes the tables for the instructions.
  constexpr void count(expert_placement const& next) {
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

  /// Lists the instances of a layer from place `end` on, by expert and then by slot, without those
  /// that another host copies by itself.
  /// Returns the new end.
  constexpr std::size_t list(std::span<expert_id const> expert_of, std::size_t end) {
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

  /// Next instruction and region to write.
  struct place {
    instruction* i;
    region* r;
  };

  constexpr place write(layer_id l, place next) const {
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

  /// Whether the instance is copied from another slot of its rank.
  [[nodiscard]] constexpr bool repeats(instance const& x) const {
    return how_.deduplicate && x.first != x.slot;
  }
  [[nodiscard]] constexpr expert_parts const& of(std::int32_t e) const {
    return parts_[static_cast<std::size_t>(e)];
  }

  rank_id self_;
  std::int32_t layers_;
  weight_scatter how_;
  byte_count whole_;  ///< bytes of an expert's weights
  std::vector<std::int32_t> first_slot_;
  std::vector<expert_parts> parts_;  ///< by expert
  std::vector<std::int32_t> next_;
  std::vector<std::int32_t> hosted_{}, in_order_{};  ///< slots by expert; slots ascending
  std::vector<rank_id> rank_of_{};
  std::vector<instance> listed_{};   ///< layer by layer
  std::vector<std::size_t> ends_{};  ///< ends of the layers in listed_
  rank_program program_{};
};

}  // namespace shunt
