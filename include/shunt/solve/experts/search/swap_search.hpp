#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "shunt/core/config.hpp"

namespace shunt::detail {

/// The experts on the ranks of one layer, improved by swaps that relieve the fullest rank: the best
/// swap of one of its experts with one of another rank; if none helps, the best swap of two with
/// two. No rank gets an expert twice. A call allocates nothing.
/// Ranks keep their experts in order of share, so that two pointers find the partners to try.
/// Complexity: O(L (s_f + s_r)) per swap for s_r slots of rank r, f the fullest rank.
class swap_search {
 public:
  using load_type = std::int64_t;

  SHUNT_CONSTEXPR swap_search(std::size_t experts, std::span<std::int32_t const> slots_per_rank);

  /// Empties all slots.
  SHUNT_CONSTEXPR void clear();
  /// Fills the next free slot of the rank.
  SHUNT_CONSTEXPR void put(std::size_t rank, std::size_t expert, load_type share);
  /// Returns the expert of each slot, rank by rank.
  [[nodiscard]] constexpr std::span<std::size_t const> held() const { return held_; }

  /// Swaps until the fullest rank has at most `enough` or cannot be relieved; two with two only if
  /// its load is within 1/512 of `best`. Adds its visits of (rank, replica) pairs to `steps` and
  /// ends when they reach `effort`.
  /// Returns the load of the fullest rank.
  /// Requires every slot to be filled by put().
  SHUNT_CONSTEXPR load_type operator()(std::span<load_type const> share, load_type enough,
                                       load_type best, std::int64_t& steps, std::int64_t effort);

 private:
  /// Makes the best swap of two experts of the fullest rank with two of another rank.
  /// Returns false if none relieves the fullest rank.
  SHUNT_CONSTEXPR bool swap_two(std::size_t fullest);

  SHUNT_CONSTEXPR std::size_t where(std::size_t r, std::size_t e) const;

  SHUNT_CONSTEXPR void swap(std::size_t r, std::size_t i, std::size_t q, std::size_t k);

  SHUNT_CONSTEXPR void sort_rank(std::size_t r);

  std::size_t experts_, ranks_, most_slots_ = 0;
  std::span<load_type const> share_{};
  std::int64_t* steps_ = nullptr;
  std::int64_t effort_ = 0;
  /// held_: experts of each rank by descending share.
  std::vector<std::size_t> first_, end_, held_{}, theirs_{};
  std::vector<load_type> load_;
  std::vector<char> has_;  ///< ranks x experts
};

}  // namespace shunt::detail

#ifndef SHUNT_COMPILED
#include "shunt/solve/experts/search/swap_search.ipp"
#endif
