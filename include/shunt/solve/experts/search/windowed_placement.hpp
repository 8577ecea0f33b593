#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "shunt/core/config.hpp"
#include "shunt/core/id.hpp"
#include "shunt/problem/expert_layers.hpp"

namespace shunt::detail {

/// One layer's placement and the loads of its ranks in several windows: the current one and the
/// latest of the history. The score that rates changes is the mean over the windows of max/mean
/// load under the even split. Loads are scaled so that a window's tokens fill 31 bits; rank
/// loads are whole numbers. Allocates when it is constructed, not when it is called.
class windowed_placement {
 public:
  /// Requires `scored` windows, at most one more than the history has.
  SHUNT_CONSTEXPR windowed_placement(expert_layers const& problem, std::int32_t scored);

  /// Takes the loads of layer l.
  SHUNT_CONSTEXPR void load(expert_layers const& problem, layer_id l);

  /// Takes the placement of the layer. Slots may hold nothing (-1); until they are filled, slots()
  /// has expert E there, which has no load.
  /// Returns false if an expert has no slot or a slot is empty.
  SHUNT_CONSTEXPR bool place(std::span<expert_id const> slots);

  [[nodiscard]] constexpr std::span<expert_id const> slots() const { return slots_; }
  [[nodiscard]] constexpr std::size_t experts() const { return experts_; }
  [[nodiscard]] constexpr std::size_t ranks() const { return ranks_; }
  [[nodiscard]] constexpr std::size_t rank_of(std::size_t s) const { return rank_of_[s]; }
  /// Returns the replicas of expert e on the rank.
  [[nodiscard]] SHUNT_CONSTEXPR std::int32_t held(std::size_t e, std::size_t rank) const;
  [[nodiscard]] constexpr std::int64_t copies(std::size_t e) const { return copies_[e]; }

  [[nodiscard]] constexpr bool is_empty(std::size_t s) const {
    return slots_[s].index() == experts_;
  }
  /// Returns the sum over the windows of the expert's scaled load.
  [[nodiscard]] SHUNT_CONSTEXPR std::int64_t load_of(std::size_t e) const;

  /// Returns the mean over the windows of max/mean load.
  [[nodiscard]] SHUNT_CONSTEXPR double score() const;

  /// Returns the score after slot s is given to expert b.
  /// Requires that b is not on the rank of s and that the expert of s has another replica.
  /// Complexity: O(windows x ranks).
  [[nodiscard]] SHUNT_CONSTEXPR double score_with(std::size_t s, std::size_t b) const;

  /// Returns the score after slots s and t, on two ranks, are swapped.
  /// Complexity: O(windows).
  [[nodiscard]] SHUNT_CONSTEXPR double score_swapped(std::size_t s, std::size_t t) const;

  /// Returns a lower bound of score_with(s, b): the loads of the fullest three ranks.
  /// Complexity: O(windows).
  [[nodiscard]] SHUNT_CONSTEXPR double least_with(std::size_t s, std::size_t b) const;

  /// The fullest rank of each window: whether a rank is one, their slots and experts, ascending.
  struct fullest_ranks {
    std::vector<char> rank;
    std::vector<std::size_t> slots{}, experts{};
    /// Returns the position of the first of the slots after s.
    [[nodiscard]] constexpr std::size_t after(std::size_t s) const {
      return static_cast<std::size_t>(std::upper_bound(slots.begin(), slots.end(), s) -
                                      slots.begin());
    }
  };
  /// Finds them and counts the visits of one search for a change.
  SHUNT_CONSTEXPR fullest_ranks const& mark_fullest();
  /// Adds to the visits of this layer.
  constexpr void visit(std::size_t many) {
    visits_ += static_cast<std::int64_t>(many) * static_cast<std::int64_t>(windows_);
  }
  /// Returns whether the layer has visits left.
  [[nodiscard]] constexpr bool may_search() const { return visits_ < std::int64_t{1} << 31; }

  /// Gives slot s to expert b.
  SHUNT_CONSTEXPR void give(std::size_t s, std::size_t b);
  /// Swaps the experts of slots s and t.
  SHUNT_CONSTEXPR void swap(std::size_t s, std::size_t t);

 private:
  struct top {
    std::int64_t mean = 1;
    std::size_t rank[3] = {};  ///< the fullest three
  };

  SHUNT_CONSTEXPR std::size_t set(std::size_t s, std::size_t e);

  SHUNT_CONSTEXPR void add_up();

  std::size_t windows_, experts_, ranks_;
  std::vector<std::int64_t> weight_, load_;  ///< windows x experts, windows x ranks
  std::vector<std::int32_t> has_;            ///< experts x ranks: replicas
  std::vector<std::int64_t> copies_;
  std::int64_t empty_ = 0;
  std::vector<top> tops_;
  std::vector<std::size_t> rank_of_{};
  std::vector<expert_id> slots_{};
  std::int32_t live_ = 0;
  fullest_ranks near_;
  std::int64_t visits_ = 0;
};

}  // namespace shunt::detail

#ifndef SHUNT_COMPILED
#include "shunt/solve/experts/search/windowed_placement.ipp"
#endif
