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

/// Weight scatter of all layers, the list of one rank alone, for ranks that plan every iteration anew: the very instructions that
/// lower(state, next, map, how) gives this rank. Every rank that is told the same placement writes its own list, and the lists fit.
///
/// Shards, and with them most of every instruction, never change; what a placement changes is who sends where. Made once for a rank;
/// asking it again allocates nothing once its list was as long before. O(slots x shards of a rank + own slots x shards of an expert) a
/// layer: with N equal ranks the N-th part of the whole program.
class rank_scatter {
 public:
  /// `first_slot`: that of all placements to come. Throws invalid_problem where sizes don't fit each other or there is no such rank.
  constexpr rank_scatter(optimizer_state const& state, shard_map const& map, std::span<std::int32_t const> first_slot, std::int32_t layers,
                         rank_id self, weight_scatter how = {})
      : self_(self),
        layers_(layers),
        how_(how),
        whole_(state.elements * state.weight_bytes),
        first_slot_(first_slot.begin(), first_slot.end()),
        parts_(map.shards.size()),
        next_(map.shards.size() + 1, 0) {
    expert_placement const shape{.layers = layers, .experts = state.experts, .first_slot = first_slot_, .expert_of = {}};
    detail::match(state, shape, 0, map);
    if (self < rank_id{0} || self >= rank_id{state.ranks})
      throw invalid_problem("self", "must be below " + std::to_string(state.ranks) + ", is " + std::to_string(self.value()));
    for (rank_id r : ids<rank_id>(state.ranks))
      rank_of_.insert(rank_of_.end(), static_cast<std::size_t>(first_slot_[r.index() + 1] - first_slot_[r.index()]), r);
    hosted_.resize(static_cast<std::size_t>(layers) * rank_of_.size(), 0);
    mine_end_.resize(static_cast<std::size_t>(layers), 0);
    auto const offsets = shard_offsets(map, state.ranks);
    for (expert_id e : ids<expert_id>(state.experts))
      for (std::size_t k = 0; k < map.shards[e].size(); ++k) {
        shard const& s = map.shards[e][k];
        (s.owner == self ? parts_[e.index()].own : parts_[e.index()].others)
            .push_back({s.owner, offsets[e][k] * state.weight_bytes, s.begin * state.weight_bytes, s.size() * state.weight_bytes});
      }
    program_.buffers.resize(2 * static_cast<std::size_t>(layers));
    for (layer_id l : ids<layer_id>(layers)) {
      program_.buffers[2 * l.value()] = {(first_slot_[self.index() + 1] - first_slot_[self.index()]) * whole_, true};
      program_.buffers[2 * l.value() + 1] = {held_elements(map, self) * state.weight_bytes, true};
    }
  }

  /// This rank's list for the placement; it stands until the next call. Throws invalid_problem where the placement has other layers,
  /// experts or slots than the ones that this was made for.
  constexpr rank_program const& operator()(expert_placement const& next) {
    if (next.layers != layers_ || next.experts != static_cast<std::int32_t>(parts_.size()) || next.first_slot != first_slot_)
      throw invalid_problem("placement", "isn't of the shape that this list was made for");
    count(next);
    instruction* i = program_.instructions.data();
    region* r = program_.regions.data();
    for (layer_id l : ids<layer_id>(layers_)) write(l, next.layer(l), i, r);
    return program_;
  }

 private:
  struct part {
    rank_id owner{};
    byte_count source = 0, begin = 0, size = 0;  ///< in its owner's shards, in the expert
  };
  struct expert_parts {
    std::vector<part> own{}, others{};
  };
  struct instance {
    std::int32_t expert = 0, slot = 0, first = 0;  ///< slots counted on this rank; the expert's first here
  };

  /// Sorts the slots of every layer by expert, notes this rank's own, and makes room for exactly the instructions to come.
  constexpr void count(expert_placement const& next) {
    std::size_t messages = 0, copies = 0;
    mine_.clear();
    for (layer_id l : ids<layer_id>(layers_)) {
      auto const expert_of = next.layer(l);
      auto const hosted = std::span(hosted_).subspan(l.index() * rank_of_.size(), rank_of_.size());
      std::fill(next_.begin(), next_.end(), 0);
      for (expert_id const e : expert_of) ++next_[e.index() + 1];
      for (std::size_t e = 0; e + 1 < next_.size(); ++e) next_[e + 1] += next_[e];
      for (std::size_t s = 0; s < expert_of.size(); ++s) hosted[static_cast<std::size_t>(next_[expert_of[s].index()]++)] = static_cast<std::int32_t>(s);
      each_instance(expert_of, hosted, [&](std::int32_t e, std::int32_t slot, rank_id host, bool again) {
        if (host == self_) {
          std::int32_t const here = slot - first_slot_[self_.index()];
          mine_.push_back({e, here, again ? mine_.back().first : here});
          if (again && how_.deduplicate) {
            ++copies;
          } else {
            messages += of(e).others.size();
            copies += of(e).own.size();
          }
        } else if (!again || !how_.deduplicate) {
          messages += of(e).own.size();
        }
      });
      mine_end_[l.index()] = mine_.size();
    }
    program_.instructions.resize(messages + copies);
    program_.regions.resize(messages + 2 * copies);
  }

  /// each(expert, slot, its rank, whether the slot before was of the same expert and rank), by expert and then by slot.
  constexpr void each_instance(std::span<expert_id const> expert_of, std::span<std::int32_t const> hosted, auto const& each) const {
    std::int32_t expert = -1;
    rank_id host{-1};
    for (std::int32_t const slot : hosted) {
      std::int32_t const e = expert_of[static_cast<std::size_t>(slot)].value();
      rank_id const r = rank_of_[static_cast<std::size_t>(slot)];
      each(e, slot, r, e == expert && r == host);
      expert = e;
      host = r;
    }
  }

  constexpr void write(layer_id l, std::span<expert_id const> expert_of, instruction*& i, region*& r) const {
    std::size_t const width = rank_of_.size(), first = l == layer_id{0} ? 0 : mine_end_[l.index() - 1];
    auto const mine = std::span(mine_).subspan(first, mine_end_[l.index()] - first);
    expert_buffers const buffers{.slot_weights = 2 * l.value(), .shard_weights = 2 * l.value() + 1};
    auto const append = [&](instruction const& pattern, rank_id peer, std::int32_t reads, std::int32_t writes) {
      auto const at = static_cast<std::int32_t>(r - program_.regions.data());
      *i = pattern;
      i->peer = peer;
      i->reads = {at, reads};
      i->writes = {at + reads, writes};
      ++i;
    };
    std::int32_t const batch = how_.batch + l.value();
    instruction const send{.code = opcode::send, .channel = how_.channel, .batch = batch};
    instruction const receive{.code = opcode::receive, .channel = how_.channel, .batch = batch};
    instruction const copy{.code = opcode::copy};
    auto const skipped = [&](instance const& x) { return how_.deduplicate && x.first != x.slot; };

    each_instance(expert_of, std::span(hosted_).subspan(l.index() * width, width), [&](std::int32_t e, std::int32_t, rank_id host, bool again) {
      if (host == self_ || (again && how_.deduplicate)) return;
      for (part const& p : of(e).own) {
        append(send, host, 1, 0);
        *r++ = {buffers.shard_weights, p.source, p.size};
      }
    });
    for (instance const& x : mine) {
      if (skipped(x)) continue;
      for (part const& p : of(x.expert).others) {
        append(receive, p.owner, 0, 1);
        *r++ = {buffers.slot_weights, x.slot * whole_ + p.begin, p.size};
      }
    }
    for (instance const& x : mine) {
      if (skipped(x)) continue;
      for (part const& p : of(x.expert).own) {
        append(copy, {}, 1, 1);
        *r++ = {buffers.shard_weights, p.source, p.size};
        *r++ = {buffers.slot_weights, x.slot * whole_ + p.begin, p.size};
      }
    }
    for (instance const& x : mine) {
      if (!skipped(x)) continue;
      append(copy, {}, 1, 1);
      *r++ = {buffers.slot_weights, x.first * whole_, whole_};
      *r++ = {buffers.slot_weights, x.slot * whole_, whole_};
    }
  }

  [[nodiscard]] constexpr expert_parts const& of(std::int32_t e) const { return parts_[static_cast<std::size_t>(e)]; }

  rank_id self_;
  std::int32_t layers_;
  weight_scatter how_;
  byte_count whole_;  ///< of an expert's weights
  std::vector<std::int32_t> first_slot_;
  std::vector<expert_parts> parts_;  ///< by expert
  std::vector<std::int32_t> next_;
  std::vector<std::int32_t> hosted_{};  ///< layers x slots: the slots by expert
  std::vector<rank_id> rank_of_{};
  std::vector<instance> mine_{};         ///< this rank's, layer by layer
  std::vector<std::size_t> mine_end_{};  ///< one entry a layer
  rank_program program_{};
};

}  // namespace shunt
