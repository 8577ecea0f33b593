#pragma once
#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "shunt/core/id.hpp"

namespace shunt::detail {

/// One layer's placement as FlexMoE changes it. Loads are scaled to 34 bits in all, so that shares
/// of replicas are whole numbers and every platform finds the same placement.
class flexmoe_layer {
 public:
  /// Requires as many slots as `slots_per_rank` has, and every expert in one.
  constexpr flexmoe_layer(std::span<std::int32_t const> slots_per_rank, std::size_t experts)
      : replicas_(experts, 0),
        hosts_(experts, 0),
        share_(experts, 0),
        weight_(experts, 0),
        last_(experts, 0),
        times_(slots_per_rank.size(), 0) {
    for (std::size_t r = 0; r < slots_per_rank.size(); ++r) {
      live_ += slots_per_rank[r] > 0;
      for (std::int32_t s = 0; s < slots_per_rank[r]; ++s)
        rank_of_.push_back(static_cast<std::int32_t>(r));
    }
  }

  constexpr void load(std::span<std::int64_t const> loads, std::span<expert_id const> slots) {
    std::int64_t total = 0;
    for (auto const w : loads) total += w;
    shift_ =
        total == 0 ? 0 : 34 - static_cast<int>(std::bit_width(static_cast<std::uint64_t>(total)));
    total_ = 0;
    for (std::size_t e = 0; e < loads.size(); ++e) total_ += weight_[e] = scaled(loads[e]);
    slots_.assign(slots.begin(), slots.end());
  }
  /// Returns tokens in the scale of the loads, at most the scaled total.
  [[nodiscard]] constexpr std::int64_t scaled(std::int64_t tokens) const {
    std::int64_t const whole = std::int64_t{1} << 34;
    if (shift_ < 0) return std::min(whole, tokens >> -shift_);
    return tokens >= whole >> shift_ ? whole : tokens << shift_;
  }

  struct state {
    std::int64_t fullest = 0;  ///< Tokens of the fullest rank, scaled.
    std::int64_t time = 0;     ///< The largest, over ranks, of tokens and synchronised experts.
    std::int32_t slowest = 0;  ///< Ranks that take that long.
    constexpr bool operator<(state const& other) const {
      return time < other.time || (time == other.time && slowest < other.slowest);
    }
  };
  /// Counts replicas, hosts and shares anew.
  /// Returns the state of the layer.
  /// Complexity: O(slots + experts).
  constexpr state measure(std::int64_t sync) {
    std::fill(replicas_.begin(), replicas_.end(), 0);
    std::fill(hosts_.begin(), hosts_.end(), 0);
    std::fill(last_.begin(), last_.end(), -1);
    for (std::size_t s = 0; s < slots_.size(); ++s) {
      std::size_t const e = slots_[s].index();
      ++replicas_[e];
      hosts_[e] += last_[e] != rank_of_[s];
      last_[e] = rank_of_[s];
    }
    for (std::size_t e = 0; e < share_.size(); ++e) share_[e] = weight_[e] / replicas_[e];
    std::fill(last_.begin(), last_.end(), -1);
    std::fill(times_.begin(), times_.end(), 0);
    state now;
    std::int64_t tokens = 0;
    for (std::size_t s = 0; s < slots_.size(); ++s) {
      if (s > 0 && rank_of_[s] != rank_of_[s - 1]) tokens = 0;
      std::size_t const e = slots_[s].index();
      bool const synchronised = hosts_[e] > 1 && last_[e] != rank_of_[s];
      last_[e] = rank_of_[s];
      now.fullest = std::max(now.fullest, tokens += share_[e]);
      times_[static_cast<std::size_t>(rank_of_[s])] += share_[e] + (synchronised ? sync : 0);
    }
    for (auto const time : times_) now.time = std::max(now.time, time);
    for (auto const time : times_) now.slowest += time == now.time;
    return now;
  }

  /// Returns whether another slot of the same rank holds the expert, so that nothing is sent.
  [[nodiscard]] constexpr bool held_beside(std::size_t slot, expert_id e) const {
    for (std::size_t s = slot; s-- > 0 && rank_of_[s] == rank_of_[slot];)
      if (slots_[s] == e) return true;
    for (std::size_t s = slot + 1; s < slots_.size() && rank_of_[s] == rank_of_[slot]; ++s)
      if (slots_[s] == e) return true;
    return false;
  }
  [[nodiscard]] constexpr bool out_of_balance(state const& now, double trigger) const {
    return static_cast<double>(now.fullest * live_) > trigger * static_cast<double>(total_);
  }

  [[nodiscard]] constexpr std::vector<expert_id>& slots() { return slots_; }
  [[nodiscard]] constexpr std::int32_t rank_of(std::size_t slot) const { return rank_of_[slot]; }
  [[nodiscard]] constexpr std::int32_t live() const { return live_; }
  // as of the latest measure()
  [[nodiscard]] constexpr std::span<std::int32_t const> replicas() const { return replicas_; }
  [[nodiscard]] constexpr std::span<std::int32_t const> hosts() const { return hosts_; }
  [[nodiscard]] constexpr std::span<std::int64_t const> shares() const { return share_; }
  [[nodiscard]] constexpr std::span<std::int64_t const> times() const { return times_; }

 private:
  std::vector<std::int32_t> rank_of_{};
  std::vector<expert_id> slots_{};
  std::vector<std::int32_t> replicas_, hosts_;
  std::vector<std::int64_t> share_, weight_;
  std::vector<std::int32_t> last_;
  std::vector<std::int64_t> times_;  ///< of each rank
  std::int32_t live_ = 0;
  int shift_ = 0;
  std::int64_t total_ = 0;
};

}  // namespace shunt::detail
