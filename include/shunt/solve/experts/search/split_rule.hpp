#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "shunt/core/config.hpp"
#include "shunt/core/host_device.hpp"
#include "shunt/core/id.hpp"
#include "shunt/plan/token_split.hpp"
#include "shunt/problem/routed_tokens.hpp"

namespace shunt::detail {

/// The input and output of split_layer for one layer as plain pointers, for host and device.
struct token_split_arrays {
  std::int32_t sources = 0, experts = 0, slots = 0;
  std::int64_t capacity = dropless;  ///< tokens per slot
  /// sources x experts; the sum of an expert's entries is below 2^31
  std::int64_t const* counts = nullptr;
  expert_id const* expert_of = nullptr;   ///< slots
  std::int32_t const* rank_of = nullptr;  ///< slots: the source on the rank of the slot, ascending
  std::int64_t* tokens = nullptr;         ///< sources x slots, output
  std::int64_t* dropped = nullptr;        ///< sources x experts, output
  std::int32_t* totals = nullptr;         ///< experts: their tokens, output
  std::int32_t* scratch = nullptr;        ///< split_scratch(sources, experts, slots)
  double* inverse = nullptr;              ///< experts
};

/// Returns the number of sources rounded up so that their rows fill vector registers.
SHUNT_HD constexpr std::int64_t row_width(std::int32_t sources) {
  return (std::int64_t{sources} + 7) / 8 * 8;
}

/// Returns floor(n / d) by a guess and a correction.
/// Requires n < 2^62 and a quotient below 2^31.
SHUNT_HD constexpr std::int64_t floor_of(std::int64_t n, std::int64_t d, double inverse) {
  auto const guess = static_cast<std::int64_t>(static_cast<double>(n) * inverse);
  std::int64_t const rest = n - guess * d;
  return guess + (rest >= d) - (rest < 0);
}

/// Gives a slot, which has `share` x 2^-31 of an expert's room, that share of each source's rest,
/// rounded down, and subtracts it from `left`.
/// Returns the sum.
SHUNT_HD constexpr std::int32_t take_shares(std::int64_t width, std::int32_t const* __restrict rest,
                                            std::int32_t* __restrict left,
                                            std::int32_t* __restrict cells, std::uint32_t share) {
  std::int32_t sum = 0;
  for (std::int64_t i = 0; i < width; ++i) {
    auto const part =
        static_cast<std::int32_t>(std::uint64_t{static_cast<std::uint32_t>(rest[i])} * share >> 31);
    cells[i] = part;
    left[i] -= part;
    sum += part;
  }
  return sum;
}

/// Adds the intersections of the sources' intervals [low, high) with the slot's interval [from,
/// to).
SHUNT_HD constexpr void fill_up(std::int64_t width, std::int32_t const* __restrict low,
                                std::int32_t const* __restrict high, std::int32_t* __restrict cells,
                                std::int32_t from, std::int32_t to) {
  for (std::int64_t i = 0; i < width; ++i) {
    std::int32_t const begin = low[i] > from ? low[i] : from, end = high[i] < to ? high[i] : to;
    cells[i] += end > begin ? end - begin : 0;
  }
}

/// Returns the number of entries of token_split_arrays::scratch.
SHUNT_HD constexpr std::int64_t split_scratch(std::int32_t sources, std::int32_t experts,
                                              std::int32_t slots) {
  std::int64_t const width = row_width(sources);
  return 4 * experts * width + slots * (width + 5) + 4 * std::int64_t{experts} + 1;
}

/// Splits the tokens of one layer by the rule of capacity_split. All work but the sums over sources
/// is the same few instructions for every (source, slot), without a branch or a division.
/// Complexity: O(sources x (experts + slots)).
SHUNT_HD constexpr void split_layer(token_split_arrays const& a) {
  std::int32_t const sources = a.sources, experts = a.experts, slots = a.slots;
  std::int64_t const width = row_width(sources);
  std::int32_t *next = a.scratch, *const rest = next + experts + 1,
               *const left = rest + experts * width, *const low = left + experts * width,
               *const high = low + experts * width, *const cells = high + experts * width,
               *const hosted = cells + slots * width, *const expert_at = hosted + slots,
               *const room = expert_at + slots, *const own = room + slots,
               *const open = own + slots, *const total = a.totals, *const each = open + slots,
               *const more = each + experts, *const away = more + experts;

  // slots by expert, ascending; `next` ends at the expert's last slot
  for (std::int32_t e = 0; e <= experts; ++e) next[e] = 0;
  bool in_order = true;
  for (std::int32_t s = 0; s < slots; ++s) {
    ++next[a.expert_of[s].value() + 1];
    in_order &= s == 0 || a.expert_of[s - 1].value() <= a.expert_of[s].value();
  }
  for (std::int32_t e = 0; e < experts; ++e) {
    each[e] = next[e + 1];  // replicas
    next[e + 1] += next[e];
    more[e] = next[e];  // the first of its slots
  }
  for (std::int32_t s = 0; s < slots; ++s) {
    std::int32_t const e = a.expert_of[s].value(), at = in_order ? s : next[e]++;
    hosted[at] = s;
    expert_at[at] = e;
  }

  // the tokens of each slot and the drops of each source
  for (std::int32_t e = 0; e < experts; ++e) total[e] = 0;
  for (std::int64_t x = 0; x < experts * width; ++x) rest[x] = 0;
  for (std::int32_t i = 0; i < sources; ++i)
    for (std::int32_t e = 0; e < experts; ++e) {
      auto const count = static_cast<std::int32_t>(a.counts[std::int64_t{i} * experts + e]);
      total[e] += count;
      rest[e * width + i] = count;
      a.dropped[std::int64_t{i} * experts + e] = 0;
    }
  for (std::int32_t e = 0; e < experts; ++e) {
    std::int32_t const replicas = each[e];
    std::int64_t kept = 0;
    std::int32_t extra = 0;
    if (replicas > 0) {
      kept = total[e];
      each[e] = total[e] / replicas;
      extra = total[e] % replicas;
      if (a.capacity < each[e] + (extra > 0)) {
        each[e] = static_cast<std::int32_t>(a.capacity);
        extra = 0;
        kept = a.capacity * replicas;
      }
    }
    more[e] += extra;
    away[e] = 0;
    if (std::int64_t const excess = total[e] - kept; excess > 0) {
      double const inverse = 1.0 / total[e];
      std::int64_t before = 0, gone = 0;
      for (std::int32_t i = 0; i < sources; ++i) {
        before += rest[e * width + i];
        std::int64_t const drop = floor_of(excess * before, total[e], inverse) - gone;
        a.dropped[std::int64_t{i} * experts + e] = drop;
        rest[e * width + i] -= static_cast<std::int32_t>(drop);
        gone += drop;
      }
    }
  }

  // a rank's own slots first
  for (std::int32_t k = 0; k < slots; ++k) {
    std::int32_t const e = expert_at[k], takes = each[e] + (k < more[e]);
    std::int32_t& mine = rest[e * width + a.rank_of[hosted[k]]];
    own[k] = mine < takes ? mine : takes;
    mine -= own[k];
    room[k] = takes - own[k];
    away[e] += room[k];
  }

  // then the rest in proportion to the remaining room, rounded down (by 2^-50 more, so that no
  // rounding of a double makes a share too large)
  for (std::int32_t e = 0; e < experts; ++e)
    a.inverse[e] = 0x1p31 * (1 - 0x1p-50) / (away[e] > 0 ? away[e] : 1);
  for (std::int64_t x = 0; x < experts * width; ++x) left[x] = rest[x];
  for (std::int32_t k = 0; k < slots; ++k) {
    std::int64_t const row = expert_at[k] * width;
    auto const share = static_cast<std::uint32_t>(room[k] * a.inverse[expert_at[k]]);
    open[k] = room[k] - take_shares(width, rest + row, left + row, cells + k * width, share);
  }

  // then the remainder fills the open slots, source by source and slot by slot; the sources of an
  // expert have as much left as its slots have open, so one pass over all experts suffices
  std::int32_t at = 0;
  for (std::int64_t x = 0; x < experts * width; ++x) {
    low[x] = at;
    at += left[x];
    high[x] = at;
  }
  for (std::int32_t k = 0, from = 0; k < slots; from += open[k++]) {
    std::int64_t const row = expert_at[k] * width;
    fill_up(width, low + row, high + row, cells + k * width, from, from + open[k]);
    cells[k * width + a.rank_of[hosted[k]]] += own[k];
  }
  for (std::int32_t i = 0; i < sources; ++i) {
    std::int64_t* __restrict const to = a.tokens + std::int64_t{i} * slots;
    if (in_order)
      for (std::int32_t k = 0; k < slots; ++k) to[k] = cells[k * width + i];
    else
      for (std::int32_t k = 0; k < slots; ++k) to[hosted[k]] = cells[k * width + i];
  }
}

/// Splits tokens for one set of ranks and experts. Allocates when it is constructed, not when it is
/// called.
class split_rule {
 public:
  SHUNT_CONSTEXPR split_rule(std::span<std::int32_t const> first_slot, std::int32_t experts);

  /// Splits `counts`, ranks x experts. A plan of the same shape keeps its memory.
  /// Requires what validate(routed_tokens) checks.
  SHUNT_CONSTEXPR void operator()(std::span<std::int64_t const> counts,
                                  std::span<expert_id const> expert_of, std::int64_t capacity,
                                  token_split& plan);

  /// Returns the tokens of every expert in the latest counts.
  [[nodiscard]] SHUNT_CONSTEXPR std::span<std::int32_t const> totals() const;

 private:
  std::int32_t experts_, sources_;
  std::vector<std::int32_t> rank_of_, totals_, scratch_;
  std::vector<double> inverse_;
};

}  // namespace shunt::detail

#ifndef SHUNT_COMPILED
#include "shunt/solve/experts/search/split_rule.ipp"
#endif
