#pragma once
/// Exact token split of many layers on a device, one team of threads a layer.
/// Results equal those of solve/experts/capacity_split.hpp to the bit; the rule stands there.
/// See docs/device-code.md.
#include <cstdint>

#include "shunt/core/host_device.hpp"
#include "shunt/device/team.hpp"
#include "shunt/problem/routed_tokens.hpp"

namespace shunt {

/// Splits tokens over slots, lists each expert's slots, and lays out the outgoing buffer of rank
/// `self`.
/// That buffer has a part of `part_rows` rows for every rank; a slot's tokens lie in consecutive
/// rows.
/// Without a capacity a token whose expert has no slot is dropped (the host: infeasible).
/// Requires counts that problem/routed_tokens.hpp accepts.
/// Complexity: O(ranks x replicas) for the thread of an expert.
struct split_layers {
  std::int32_t ranks = 0, experts = 0, slots = 0;
  std::int64_t capacity = dropless;          ///< most tokens of a slot
  std::int32_t const* first_slot = nullptr;  ///< ranks + 1
  std::int32_t const* expert_of = nullptr;   ///< layers x slots
  /// layers x ranks x experts: tokens of each rank routed to each expert.
  std::int64_t const* counts = nullptr;
  std::int64_t* tokens = nullptr;   ///< layers x ranks x slots, written
  std::int64_t* dropped = nullptr;  ///< layers x ranks x experts, written
  /// layers x slots, written: the slots of expert 0, of expert 1, .., each ascending.
  std::int32_t* hosted = nullptr;
  /// layers x experts, written: end of each expert's slots in `hosted`.
  std::int32_t* hosted_end = nullptr;
  std::int32_t self = 0;              ///< rank whose outgoing buffer `first_row` describes
  std::int64_t part_rows = 0;         ///< of the outgoing buffer
  std::int64_t* first_row = nullptr;  ///< layers x slots, written
  std::int32_t* rest = nullptr;       ///< workspace: layers x ranks x experts

  /// Returns the bytes of shared memory of a team.
  [[nodiscard]] constexpr std::int64_t shared_bytes() const {
    return 8 * std::int64_t{experts} + 12 * std::int64_t{slots};
  }

  /// Splits one layer.
  /// Requires `shared` aligned to 8 bytes.
  template <class Team>
  SHUNT_HD constexpr void operator()(Team const& team, std::int32_t layer,
                                     unsigned char* shared) const {
    detail::shared_cutter cut(shared);
    auto* const counted = cut.template take<std::int32_t>(experts);
    auto* const other = cut.template take<std::int32_t>(experts);
    auto* const room = cut.template take<std::int32_t>(
        slots);  // of the k-th hosted slot; then the end of its open interval
    auto* const share =
        cut.template take<std::uint32_t>(slots);  // of its expert's room, times 2^31
    auto* const rank_of = cut.template take<std::int32_t>(slots);      // of the k-th hosted slot
    std::int64_t const cells = std::int64_t{layer} * ranks * experts;  // begin of the layer
    std::int32_t const* const expert = expert_of + std::int64_t{layer} * slots;
    std::int32_t* const own = hosted + std::int64_t{layer} * slots;
    std::int64_t* const sent = tokens + std::int64_t{layer} * ranks * slots;

    detail::each_item(team, experts, [&](std::int32_t e) {
      counted[e] = 0;
      for (std::int32_t s = 0; s < slots; ++s) counted[e] += expert[s] == e;
    });
    detail::each_item(team, ranks * slots, [&](std::int32_t i) { sent[i] = 0; });
    std::int32_t const* const ends = detail::running_sums(team, experts, counted, other);
    auto const begin = [&](std::int32_t e) { return e == 0 ? 0 : ends[e - 1]; };

    detail::each_item(team, experts, [&](std::int32_t e) {
      std::int32_t at = begin(e);
      for (std::int32_t s = 0; s < slots; ++s) {
        if (expert[s] != e) continue;
        rank_of[at] = detail::owner_of(first_slot + 1, ranks, s);
        own[at++] = s;
      }
      hosted_end[std::int64_t{layer} * experts + e] = at;
      share_out(e, cells, begin(e), at, own, rank_of, sent, room, share);
    });
    // In proportion to the room left, rounded down.
    detail::each_item(team, slots, [&](std::int32_t k) {
      std::int32_t const e = expert[own[k]];
      for (std::int32_t i = 0; i < ranks; ++i) {
        std::int32_t const part = part_of(rest[cells + std::int64_t{i} * experts + e], share[k]);
        sent[std::int64_t{i} * slots + own[k]] += part;
        room[k] -= part;
      }
    });
    // What rounding left, as ends of intervals.
    detail::each_item(team, experts, [&](std::int32_t e) {
      std::int32_t left = 0, open = 0;
      for (std::int32_t i = 0; i < ranks; ++i) {
        std::int32_t& mine = rest[cells + std::int64_t{i} * experts + e];
        std::int32_t taken = 0;
        for (std::int32_t k = begin(e); k < ends[e]; ++k) taken += part_of(mine, share[k]);
        mine = left += mine - taken;
      }
      for (std::int32_t k = begin(e); k < ends[e]; ++k) room[k] = open += room[k];
    });
    // Fills the intervals that are still open.
    detail::each_item(team, slots, [&](std::int32_t k) {
      std::int32_t const e = expert[own[k]], from = k == begin(e) ? 0 : room[k - 1], to = room[k];
      std::int32_t low = 0;
      for (std::int32_t i = 0; i < ranks; ++i) {
        std::int32_t const high = rest[cells + std::int64_t{i} * experts + e];
        std::int32_t const first = low > from ? low : from, last = high < to ? high : to;
        if (last > first) sent[std::int64_t{i} * slots + own[k]] += last - first;
        low = high;
      }
    });
    detail::each_item(team, ranks, [&](std::int32_t r) {
      std::int64_t row = r * part_rows;
      for (std::int32_t s = first_slot[r]; s < first_slot[r + 1]; ++s) {
        first_row[std::int64_t{layer} * slots + s] = row;
        row += sent[std::int64_t{self} * slots + s];
      }
    });
  }

 private:
  SHUNT_HD static constexpr std::int32_t part_of(std::int32_t rest, std::uint32_t share) {
    return static_cast<std::int32_t>(std::uint64_t{static_cast<std::uint32_t>(rest)} * share >> 31);
  }

  /// Computes an expert's drops, the tokens for slots on their own rank, and the tokens and room
  /// that remain.
  SHUNT_HD constexpr void share_out(std::int32_t e, std::int64_t cells, std::int32_t begin,
                                    std::int32_t end, std::int32_t const* own,
                                    std::int32_t const* rank_of, std::int64_t* sent,
                                    std::int32_t* room, std::uint32_t* share) const {
    std::int64_t total = 0, kept = 0;
    for (std::int32_t i = 0; i < ranks; ++i) total += counts[cells + std::int64_t{i} * experts + e];
    std::int32_t const replicas = end - begin;
    if (replicas > 0)
      kept = capacity < (total + replicas - 1) / replicas ? capacity * replicas : total;

    std::int64_t before = 0, gone = 0;
    for (std::int32_t i = 0; i < ranks; ++i) {
      std::int64_t const cell = cells + std::int64_t{i} * experts + e;
      before += counts[cell];
      dropped[cell] = total == 0 ? 0 : (total - kept) * before / total - gone;
      gone += dropped[cell];
      rest[cell] = static_cast<std::int32_t>(counts[cell] - dropped[cell]);
    }
    std::int64_t away = 0;
    for (std::int32_t k = begin; k < end; ++k) {
      auto const takes = static_cast<std::int32_t>(kept / replicas + (k - begin < kept % replicas));
      std::int32_t& mine = rest[cells + std::int64_t{rank_of[k]} * experts + e];
      std::int32_t const here = mine < takes ? mine : takes;
      mine -= here;
      sent[std::int64_t{rank_of[k]} * slots + own[k]] = here;
      room[k] = takes - here;
      away += room[k];
    }
    double const each = 0x1p31 * (1 - 0x1p-50) / static_cast<double>(away > 0 ? away : 1);
    for (std::int32_t k = begin; k < end; ++k)
      share[k] = static_cast<std::uint32_t>(room[k] * each);
  }
};

}  // namespace shunt
