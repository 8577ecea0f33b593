#pragma once
#include "shunt/solve/experts/search/flexmoe_layer.hpp"

#include <algorithm>
#include <bit>

namespace shunt::detail {

SHUNT_CONSTEXPR flexmoe_layer::flexmoe_layer(std::span<std::int32_t const> slots_per_rank,
                                             std::size_t experts)
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

SHUNT_CONSTEXPR void flexmoe_layer::load(std::span<std::int64_t const> loads,
                                         std::span<expert_id const> slots) {
  std::int64_t total = 0;
  for (auto const w : loads) total += w;
  shift_ =
      total == 0 ? 0 : 34 - static_cast<int>(std::bit_width(static_cast<std::uint64_t>(total)));
  total_ = 0;
  for (std::size_t e = 0; e < loads.size(); ++e) total_ += weight_[e] = scaled(loads[e]);
  slots_.assign(slots.begin(), slots.end());
}

SHUNT_CONSTEXPR std::int64_t flexmoe_layer::scaled(std::int64_t tokens) const {
  std::int64_t const whole = std::int64_t{1} << 34;
  if (shift_ < 0) return std::min(whole, tokens >> -shift_);
  return tokens >= whole >> shift_ ? whole : tokens << shift_;
}

SHUNT_CONSTEXPR bool flexmoe_layer::state::operator<(state const& other) const {
  return time < other.time || (time == other.time && slowest < other.slowest);
}

SHUNT_CONSTEXPR flexmoe_layer::state flexmoe_layer::measure(std::int64_t sync) {
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

SHUNT_CONSTEXPR bool flexmoe_layer::held_beside(std::size_t slot, expert_id e) const {
  for (std::size_t s = slot; s-- > 0 && rank_of_[s] == rank_of_[slot];)
    if (slots_[s] == e) return true;
  for (std::size_t s = slot + 1; s < slots_.size() && rank_of_[s] == rank_of_[slot]; ++s)
    if (slots_[s] == e) return true;
  return false;
}

SHUNT_CONSTEXPR bool flexmoe_layer::out_of_balance(state const& now, double trigger) const {
  return static_cast<double>(now.fullest * live_) > trigger * static_cast<double>(total_);
}

}  // namespace shunt::detail
