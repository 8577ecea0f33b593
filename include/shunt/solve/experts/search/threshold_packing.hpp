#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "shunt/core/config.hpp"

namespace shunt::detail {

/// Searches replica counts and ranks for the experts with the largest loads of a layer such that no
/// rank exceeds a threshold T. Depth first over experts in descending order of load w, counts c in
/// ascending order from ceil(w / T), ranks from the fullest that the share w / c still fits. Ranks
/// with equal load and free slots are interchangeable. A branch ends if the ranks without free
/// slots waste more than L T - W, or if the roomiest ranks, one per replica still possible, cannot
/// hold the remaining load.
/// Constructed for the slots of the live ranks; a call allocates only when it has more experts than
/// before.
/// Requires weights below 2^31.
/// Complexity: exponential. If few experts have most of the load, some hundred nodes settle most
/// thresholds; randomised restarts settle most others.
/// Reference: restarts, Gomes, Selman and Kautz 1998.
class threshold_packing {
 public:
  using load_type = std::int64_t;
  static constexpr std::size_t most = 0xffff;  ///< of ranks, and of slots of a rank

  constexpr explicit threshold_packing(std::span<std::int32_t const> slots_per_rank)
      : slots_of_(slots_per_rank.begin(), slots_per_rank.end()) {}

  /// Places experts with the given `weights` (descending) with at most `spare` replicas more than
  /// experts. The `others`, with the total load `rest`, are not placed but keep one slot each.
  /// Shows each packing to leaf(packing), which returns whether to accept it; skip() returns
  /// whether to skip a choice.

  /// Returns false if no packing was accepted before `steps` reached `effort`; exhausted() then
  /// tells whether no packing exists among the choices not skipped.
  /// Requires threshold >= 1.
  template <class Leaf, class Skip>
  SHUNT_CONSTEXPR bool operator()(std::span<load_type const> weights, load_type rest,
                                  std::size_t others, std::size_t spare, load_type threshold,
                                  std::int64_t& steps, std::int64_t effort, Leaf const& leaf,
                                  Skip const& skip) {
    weights_ = weights;
    others_ = others;
    threshold_ = threshold;
    steps_ = &steps;
    effort_ = effort;
    std::size_t const ranks = slots_of_.size();
    if (states_.size() < (weights.size() + 1) * ranks) {
      copies_.resize(weights.size());
      picked_.resize(weights.size() * ranks);
      states_.resize((weights.size() + 1) * ranks);
      to_come_.resize(weights.size() + 1);
    }
    to_come_[weights.size()] = rest;
    for (std::size_t i = weights.size(); i-- > 0;) to_come_[i] = to_come_[i + 1] + weights[i];
    // shares are rounded down, by less than one per replica beyond the first
    load_type const slack =
        threshold * static_cast<load_type>(ranks) - to_come_[0] + static_cast<load_type>(spare);
    if (slack < 0) return false;
    for (std::size_t r = 0; r < ranks; ++r)
      states_[r] = static_cast<std::uint64_t>(slots_of_[r]) << 16 | r;
    std::sort(states_.begin(), states_.begin() + static_cast<std::ptrdiff_t>(ranks));
    return decide(0, ranks, spare, slack, leaf, skip);
  }

  /// Returns whether the latest search ended before its effort did.
  [[nodiscard]] constexpr bool exhausted() const { return *steps_ < effort_; }
  /// Returns the replicas of the i-th expert.
  [[nodiscard]] constexpr std::size_t copies(std::size_t i) const { return copies_[i]; }
  /// Returns the k-th rank of the i-th expert, k < copies(i).
  [[nodiscard]] SHUNT_CONSTEXPR std::size_t rank(std::size_t i, std::size_t k) const;

 private:
  // a rank with free slots: load, free slots and rank in 32, 16 and 16 bits; states are in
  // ascending order
  static SHUNT_CONSTEXPR load_type load_of(std::uint64_t entry);

  template <class Leaf, class Skip>
  SHUNT_CONSTEXPR bool decide(std::size_t i, std::size_t open, std::size_t spare, load_type slack,
                              Leaf const& leaf, Skip const& skip) {
    if (i == weights_.size()) return leaf(*this);
    std::uint64_t const* const state = states_.data() + i * slots_of_.size();
    std::size_t many = std::min(open, spare + weights_.size() - i + others_);
    load_type room = 0;
    for (std::size_t k = 0; k < many; ++k) room += threshold_ - load_of(state[k]);
    *steps_ += static_cast<std::int64_t>(1 + many / 2);
    if (*steps_ >= effort_ || room + static_cast<load_type>(spare) < to_come_[i]) return false;
    std::size_t fits = 0;
    auto const fewest = static_cast<std::size_t>((weights_[i] + threshold_ - 1) / threshold_);
    for (std::size_t c = std::max<std::size_t>(1, fewest); c <= std::min(open, spare + 1); ++c) {
      load_type const share = weights_[i] / static_cast<load_type>(c);
      while (fits < open && load_of(state[fits]) + share <= threshold_) ++fits;
      if (fits < c || skip()) continue;
      copies_[i] = c;
      if (pick(i, open, fits, c, spare + 1 - c, share, slack, leaf, skip)) return true;
      if (*steps_ >= effort_) return false;
    }
    return false;
  }

  /// Picks `left` more of the ranks before `end`, the fullest first.
  template <class Leaf, class Skip>
  SHUNT_CONSTEXPR bool pick(std::size_t i, std::size_t open, std::size_t end, std::size_t left,
                            std::size_t spare, load_type share, load_type slack, Leaf const& leaf,
                            Skip const& skip) {
    *steps_ += 1;
    if (left == 0) return descend(i, open, spare, share, slack, leaf, skip);
    std::uint64_t const* const state = states_.data() + i * slots_of_.size();
    std::size_t first = end;
    while (first > 0 && state[first - 1] >> 16 == state[end - 1] >> 16) --first;
    auto* const picked = picked_.data() + i * slots_of_.size();
    for (std::size_t many = std::min(left, end - first) + 1; many-- > 0;) {
      if (left - many > first) return false;  // too few left
      if (many > 0 && left - many <= first && skip()) continue;
      for (std::size_t k = 0; k < many; ++k)
        picked[left - 1 - k] = static_cast<std::uint32_t>(first + many - 1 - k);
      if (pick(i, open, first, left - many, spare, share, slack, leaf, skip)) return true;
      if (*steps_ >= effort_) return false;
    }
    return false;
  }

  template <class Leaf, class Skip>
  SHUNT_CONSTEXPR bool descend(std::size_t i, std::size_t open, std::size_t spare, load_type share,
                               load_type slack, Leaf const& leaf, Skip const& skip) {
    std::size_t const ranks = slots_of_.size(), chosen = copies_[i];
    std::uint64_t const* const state = states_.data() + i * ranks;
    std::uint64_t* const next = states_.data() + (i + 1) * ranks;
    std::uint32_t const* const picked = picked_.data() + i * ranks;
    std::size_t to = 0, from = 0, passed = 0, k = 0;
    *steps_ += static_cast<std::int64_t>(1 + open / 2);
    for (;;) {
      while (from < open && passed < chosen && picked[passed] == from) ++from, ++passed;
      std::uint64_t served = 0;
      for (; k < chosen; ++k) {
        served = state[picked[k]] + (static_cast<std::uint64_t>(share) << 32) - (1 << 16);
        if ((served >> 16 & 0xffff) != 0) break;
        slack -= threshold_ - load_of(served);
      }
      if (slack < 0) return false;
      if (k == chosen) {
        if (from == open) break;
        next[to++] = state[from++];
      } else if (from == open || served < state[from]) {
        next[to++] = served;
        ++k;
      } else {
        next[to++] = state[from++];
      }
    }
    return decide(i + 1, to, spare, slack, leaf, skip);
  }

  std::vector<std::int32_t> slots_of_;
  std::span<load_type const> weights_{};
  std::vector<load_type> to_come_{};     ///< load of this expert and all after it
  std::vector<std::size_t> copies_{};    ///< by depth
  std::vector<std::uint32_t> picked_{};  ///< by depth: positions in the state, ascending
  std::vector<std::uint64_t> states_{};
  std::size_t others_ = 0;
  load_type threshold_ = 0;
  std::int64_t* steps_ = nullptr;
  std::int64_t effort_ = 0;
};

}  // namespace shunt::detail

#ifndef SHUNT_COMPILED
#include "shunt/solve/experts/search/threshold_packing.ipp"
#endif
