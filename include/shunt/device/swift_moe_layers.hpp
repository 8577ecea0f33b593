#pragma once
/// SwiftMoE's placement of many layers on a device, one team of threads a layer.
/// Results equal those of solve/experts/swift_moe.hpp to the bit; that header explains the closed
/// form of the counts.
/// Reference: SYMI, arXiv 2504.19925, Algorithm 1.
#include <cstdint>

#include "shunt/core/host_device.hpp"
#include "shunt/device/team.hpp"

namespace shunt {

/// Places the experts of each layer; selection is a search over values, eight sums of the team a
/// step.
/// Requires 1 <= experts <= slots, loads >= 0 and, per layer, (sum of loads) x (slots + experts) <
/// 2^62; a device does not check this.
/// Complexity: at most 20 + 2 log9 E + 11 sums of E numbers, and log2 E + 6 phases.
struct swift_moe_layers {
  std::int64_t const* loads = nullptr;  ///< layers x experts
  std::int32_t experts = 0;
  std::int32_t slots = 0;             ///< of a layer, over all ranks
  std::int32_t* expert_of = nullptr;  ///< layers x slots, written
  std::int32_t* replicas = nullptr;   ///< layers x experts, written; nullptr: not wanted

  /// Returns the bytes of shared memory of a team.
  [[nodiscard]] constexpr std::int64_t shared_bytes() const { return 16 * std::int64_t{experts}; }

  /// Places one layer.
  /// Requires `shared` aligned to 8 bytes.
  template <class Team>
  SHUNT_HD constexpr void operator()(Team const& team, std::int32_t layer,
                                     unsigned char* shared) const {
    detail::shared_cutter cut(shared);
    auto* const diff = cut.template take<std::int64_t>(experts);
    auto* const counts = cut.template take<std::int32_t>(experts);
    auto* const other = cut.template take<std::int32_t>(experts);
    std::int64_t const* const load = loads + std::int64_t{layer} * experts;

    count(team, load, counts, diff);
    if (replicas != nullptr)
      detail::each_item(team, experts, [&](std::int32_t e) {
        replicas[std::int64_t{layer} * experts + e] = counts[e];
      });
    std::int32_t const* const ends = detail::running_sums(team, experts, counts, other);
    detail::each_item(team, slots, [&](std::int32_t s) {
      expert_of[std::int64_t{layer} * slots + s] = detail::owner_of(ends, experts, s);
    });
  }

 private:
  template <class Team>
  SHUNT_HD constexpr void count(Team const& team, std::int64_t const* load, std::int32_t* counts,
                                std::int64_t* diff) const {
    std::int64_t const total =
        detail::sum_of(team, experts, [&](std::int32_t e) { return load[e]; });
    if (total == 0) {
      detail::each_item(team, experts, [&](std::int32_t e) {
        counts[e] = slots / experts + (e < slots % experts);
      });
      return;
    }
    detail::each_item(team, experts, [&](std::int32_t e) {
      std::int64_t const goal = load[e] * slots;  // times the total
      std::int64_t const floor = goal / total;
      counts[e] = floor > 1 ? static_cast<std::int32_t>(floor) : 1;
      diff[e] = counts[e] * total - goal;
    });
    std::int64_t wanted =
        detail::sum_of(team, experts, [&](std::int32_t e) { return std::int64_t{counts[e]}; }) -
        slots;
    bool const fewer = wanted > 0;
    // Whole rounds first: each takes one replica from every expert that has more than one.
    if (fewer) {
      auto const spared = [&](std::int32_t e, std::int64_t rounds) {
        return counts[e] - 1 < rounds ? counts[e] - 1 : rounds;
      };
      detail::least_count const beyond =
          detail::least_with(team, experts, 0, wanted + 1, wanted, spared);
      std::int64_t const rounds = beyond.exact ? beyond.at : beyond.at - 1;
      wanted -= detail::sum_of(team, experts, [&](std::int32_t e) { return spared(e, rounds); });
      detail::each_item(team, experts, [&](std::int32_t e) {
        counts[e] = counts[e] - 1 < rounds ? 1 : counts[e] - static_cast<std::int32_t>(rounds);
        diff[e] = -diff[e];  // from here on the smallest is chosen in both cases
      });
    } else {
      wanted = -wanted;
    }
    if (wanted == 0) return;
    auto const chosen = [&](std::int32_t e, std::int64_t up_to) {
      return std::int64_t{diff[e] <= up_to && (!fewer || counts[e] > 1)};
    };
    detail::cutoff const cut =
        detail::choose_least(team, experts, wanted, -total - 1, total, chosen);
    detail::each_item(team, experts, [&](std::int32_t e) {
      if (chosen(e, cut.of(e)) != 0) counts[e] += fewer ? -1 : 1;
    });
  }
};

}  // namespace shunt
