#pragma once
#include <cstdint>

#include "shunt/core/host_device.hpp"
#include "shunt/cuda/team.hpp"

namespace shunt {

/// EPLB's placement of many layers over all ranks, one team of threads a layer: to the bit what solve/experts/eplb.hpp answers where no
/// groups bind experts to nodes.
///
/// Replicate: "the next replica goes to the largest w_e / c_e" S - E times takes the S - E largest of all w_e / k, k = 1, 2, .., ties to the
/// highest e: no two of one expert are equal, as doubles tell k from k + 1 up to 2^31. So they are found at once, by bisection over the bits of
/// doubles from W / (S - E) down to W / S: more than S - E of them lie above neither, at least S - E at or above the latter.
/// Place: experts sorted by w_e / c_e (ties: the lowest), then one replica after the other goes to the rank with the least load that has a
/// free slot (ties: the lowest); that is what takes the time, S comparisons of a warp over N ranks.
///
/// Needs 1 <= experts <= slots and loads as problem/expert_layers.hpp asks them; nothing checks that on a device.
struct eplb_layers {
  std::int64_t const* loads = nullptr;  ///< layers x experts
  std::int32_t experts = 0;
  std::int32_t ranks = 0;
  std::int32_t slots = 0;                    ///< of a layer, over all ranks
  std::int32_t const* first_slot = nullptr;  ///< ranks + 1: slots first_slot[r] .. first_slot[r + 1] - 1 belong to rank r
  std::int32_t* expert_of = nullptr;         ///< layers x slots, written
  std::int32_t* replicas = nullptr;          ///< layers x experts, written; nullptr: not wanted

  /// Bytes that the threads of a team share.
  [[nodiscard]] constexpr std::int64_t shared_bytes() const {
    return 12 * std::int64_t{detail::power_of_two_from(experts)} + 16 * std::int64_t{ranks} + 4 * std::int64_t{experts};
  }

  /// Places one layer. `shared` is aligned to 8 bytes.
  template <class Team>
  SHUNT_HD constexpr void operator()(Team const& team, std::int32_t layer, unsigned char* shared) const {
    std::int32_t const sorted = detail::power_of_two_from(experts);
    detail::shared_cutter cut(shared);
    auto* const shares = cut.template take<std::uint64_t>(sorted);
    auto* const rank_load = cut.template take<std::uint64_t>(ranks);
    auto* const order = cut.template take<std::int32_t>(sorted);
    auto* const next = cut.template take<std::int32_t>(ranks);
    auto* const end = cut.template take<std::int32_t>(ranks);
    auto* const counts = cut.template take<std::int32_t>(experts);
    std::int64_t const* const load = loads + std::int64_t{layer} * experts;

    replicate(team, load, counts);
    detail::each_item(team, sorted, [&](std::int32_t e) {  // ascending, so the bits of shares are turned round
      shares[e] = e < experts ? ~bits_of(share_of(load[e], counts[e])) : full;
      order[e] = e;
      if (replicas != nullptr && e < experts) replicas[std::int64_t{layer} * experts + e] = counts[e];
    });
    detail::sort_keys(team, sorted, shares, order);
    detail::each_item(team, ranks, [&](std::int32_t r) {
      next[r] = first_slot[r];
      end[r] = first_slot[r + 1];
      rank_load[r] = next[r] < end[r] ? bits_of(0.0) : full;
    });
    team.narrow([&](auto const& warp) {
      std::int32_t* const placed = expert_of + std::int64_t{layer} * slots;
      for (std::int32_t i = 0; i < experts; ++i)
        for (std::int32_t k = counts[order[i]]; k > 0; --k) place(warp, order[i], number_of(~shares[i]), rank_load, next, end, placed);
    });
  }

 private:
  static constexpr std::uint64_t full = ~std::uint64_t{0};  ///< beyond the bits of any number

  // of numbers that are not negative the bits are ordered as they are
  SHUNT_HD static constexpr std::uint64_t bits_of(double x) { return __builtin_bit_cast(std::uint64_t, x); }
  SHUNT_HD static constexpr double number_of(std::uint64_t bits) { return __builtin_bit_cast(double, bits); }
  SHUNT_HD static constexpr double share_of(std::int64_t load, std::int64_t copies) {
    return static_cast<double>(load) / static_cast<double>(copies);
  }

  /// How many of load / 1, load / 2, .. are at least `least` > 0, but no more than `most`.
  SHUNT_HD static constexpr std::int64_t shares_from(std::int64_t load, double least, std::int64_t most) {
    double const about = static_cast<double>(load) / least;
    if (about >= static_cast<double>(most) + 1) return most;
    auto count = static_cast<std::int64_t>(about);
    while (count > 0 && share_of(load, count) < least) --count;
    while (count < most && share_of(load, count + 1) >= least) ++count;
    return count < most ? count : most;
  }

  template <class Team>
  SHUNT_HD constexpr void replicate(Team const& team, std::int64_t const* load, std::int32_t* counts) const {
    std::int64_t const spare = std::int64_t{slots} - experts;
    std::int64_t const total = detail::sum_of(team, experts, [&](std::int32_t e) { return load[e]; });
    if (spare == 0 || total == 0) {
      detail::each_item(team, experts, [&](std::int32_t e) { counts[e] = slots / experts + (e < slots % experts); });
      return;
    }
    double const margin = 0x1p-40;  // more than what rounding moves a share
    std::uint64_t const above = bits_of(static_cast<double>(total) / static_cast<double>(spare) * (1 + margin));
    std::uint64_t const below = bits_of(static_cast<double>(total) / static_cast<double>(slots) * (1 - margin));
    // elements are experts from the last to the first, values how far a share lies below `above`
    auto const taken = [&](std::int32_t i, std::int64_t down) {
      return shares_from(load[experts - 1 - i], number_of(above - static_cast<std::uint64_t>(down)), spare);
    };
    detail::cutoff const cut = detail::choose_least(team, experts, spare, 0, static_cast<std::int64_t>(above - below), taken);
    detail::each_item(team, experts, [&](std::int32_t i) {
      counts[experts - 1 - i] = 1 + static_cast<std::int32_t>(taken(i, cut.of(i)));
    });
  }

  /// Puts one replica on its rank; the thread that looks after a rank keeps its books.
  template <class Team>
  SHUNT_HD constexpr void place(Team const& team, std::int32_t expert, double share, std::uint64_t* rank_load, std::int32_t* next,
                                std::int32_t const* end, std::int32_t* placed) const {
    ranked_key const to = team.least([&](std::int32_t t) {
      ranked_key mine;
      for (std::int32_t r = t; r < ranks; r += team.size())
        if (ranked_key const here{rank_load[r], r}; here.before(mine)) mine = here;
      return mine;
    });
    team.each([&](std::int32_t t) {
      if (to.index % team.size() != t) return;
      std::int32_t const r = to.index, slot = next[r]++;
      placed[slot] = expert;
      rank_load[r] = slot + 1 == end[r] ? full : bits_of(number_of(rank_load[r]) + share);
    });
  }
};

}  // namespace shunt
