#pragma once
#include <cstdint>

#include "shunt/core/host_device.hpp"
#include "shunt/cuda/team.hpp"
#include "shunt/problem/routed_tokens.hpp"
#include "shunt/solve/experts/capacity_split.hpp"

namespace shunt {

/// The exact token split of many layers, one team of threads a layer: to the bit what solve/experts/capacity_split.hpp answers, whose
/// split_expert it calls, a thread an expert. And what a rank needs to send its tokens off by that split: the slots of each expert, and
/// the rows where tokens for each slot lie in its outgoing buffer, which has a part of `part_rows` rows for every rank.
///
/// Without a capacity a token whose expert has no slot is dropped; the host calls that infeasible. Needs counts as routed_tokens.hpp asks them.
struct split_layers {
  std::int32_t ranks = 0, experts = 0, slots = 0;
  std::int64_t capacity = dropless;          ///< tokens a slot takes
  std::int32_t const* first_slot = nullptr;  ///< ranks + 1
  std::int32_t const* expert_of = nullptr;   ///< layers x slots
  std::int64_t const* counts = nullptr;      ///< layers x ranks x experts: tokens of each rank routed to each expert
  std::int64_t* tokens = nullptr;            ///< layers x ranks x slots, written
  std::int64_t* dropped = nullptr;           ///< layers x ranks x experts, written
  std::int32_t* hosted = nullptr;            ///< layers x slots, written: the slots of expert 0, of expert 1, .., each ascending
  std::int32_t* hosted_end = nullptr;        ///< layers x experts, written: where each one's slots end in `hosted`
  std::int32_t self = 0;                     ///< whose tokens `first_row` is about
  std::int64_t part_rows = 0;                ///< of the outgoing buffer
  std::int64_t* first_row = nullptr;         ///< layers x slots, written

  /// Bytes that the threads of a team share.
  [[nodiscard]] constexpr std::int64_t shared_bytes() const { return 8 * (std::int64_t{experts} + slots); }

  /// Splits one layer. `shared` is aligned to 8 bytes.
  template <class Team>
  SHUNT_HD constexpr void operator()(Team const& team, std::int32_t layer, unsigned char* shared) const {
    detail::shared_cutter cut(shared);
    auto* const room = cut.template take<std::int64_t>(slots);
    auto* const counted = cut.template take<std::int32_t>(experts);
    auto* const other = cut.template take<std::int32_t>(experts);
    std::int32_t const* const expert = expert_of + std::int64_t{layer} * slots;
    std::int32_t* const own = hosted + std::int64_t{layer} * slots;
    token_split_arrays const arrays{.sources = ranks,
                                    .experts = experts,
                                    .slots = slots,
                                    .capacity = capacity,
                                    .counts = counts + std::int64_t{layer} * ranks * experts,
                                    .first_slot = first_slot,
                                    .tokens = tokens + std::int64_t{layer} * ranks * slots,
                                    .dropped = dropped + std::int64_t{layer} * ranks * experts};

    detail::each_item(team, experts, [&](std::int32_t e) {
      counted[e] = 0;
      for (std::int32_t s = 0; s < slots; ++s) counted[e] += expert[s] == e;
    });
    std::int32_t const* const ends = detail::running_sums(team, experts, counted, other);
    detail::each_item(team, ranks * slots, [&](std::int32_t i) { arrays.tokens[i] = 0; });
    detail::each_item(team, experts, [&](std::int32_t e) {
      std::int32_t const first = e == 0 ? 0 : ends[e - 1];
      std::int32_t at = first;
      for (std::int32_t s = 0; s < slots; ++s)
        if (expert[s] == e) own[at++] = s;
      hosted_end[std::int64_t{layer} * experts + e] = at;
      split_expert(arrays, e, own + first, at - first, room + first);
    });
    detail::each_item(team, ranks, [&](std::int32_t r) {
      std::int64_t row = r * part_rows;
      for (std::int32_t s = first_slot[r]; s < first_slot[r + 1]; ++s) {
        first_row[std::int64_t{layer} * slots + s] = row;
        row += arrays.tokens[std::int64_t{self} * slots + s];
      }
    });
  }
};

}  // namespace shunt
