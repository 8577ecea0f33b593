#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "shunt/core/config.hpp"
#include "shunt/core/id.hpp"

namespace shunt::detail {

/// One layer's placement as FlexMoE changes it. Loads are scaled to 34 bits in all, so that shares
/// of replicas are whole numbers and every platform finds the same placement.
class flexmoe_layer {
 public:
  /// Requires as many slots as `slots_per_rank` has, and every expert in one.
  SHUNT_CONSTEXPR flexmoe_layer(std::span<std::int32_t const> slots_per_rank, std::size_t experts);

  SHUNT_CONSTEXPR void load(std::span<std::int64_t const> loads, std::span<expert_id const> slots);
  /// Returns tokens in the scale of the loads, at most the scaled total.
  [[nodiscard]] SHUNT_CONSTEXPR std::int64_t scaled(std::int64_t tokens) const;

  struct state {
    std::int64_t fullest = 0;  ///< Tokens of the fullest rank, scaled.
    std::int64_t time = 0;     ///< The largest, over ranks, of tokens and synchronised experts.
    std::int32_t slowest = 0;  ///< Ranks that take that long.
    SHUNT_CONSTEXPR bool operator<(state const& other) const;
  };
  /// Counts replicas, hosts and shares anew.
  /// Returns the state of the layer.
  /// Complexity: O(slots + experts).
  SHUNT_CONSTEXPR state measure(std::int64_t sync);

  /// Returns whether another slot of the same rank holds the expert, so that nothing is sent.
  [[nodiscard]] SHUNT_CONSTEXPR bool held_beside(std::size_t slot, expert_id e) const;
  [[nodiscard]] SHUNT_CONSTEXPR bool out_of_balance(state const& now, double trigger) const;

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

#ifndef SHUNT_COMPILED
#include "shunt/solve/experts/search/flexmoe_layer.ipp"
#endif
