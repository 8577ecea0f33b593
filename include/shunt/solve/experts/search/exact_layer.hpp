#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "shunt/core/config.hpp"

namespace shunt::detail {

/// Branch and bound over replica counts and placements of one layer, those with two replicas of an
/// expert on a rank included if `repeats` is set.
/// Counts c_e >= 1 with sum S are chosen one after another and skipped if some w_e / min(c_e, L) is
/// no better than the best. Then expert by expert, the largest share first, each rank gets some of
/// its copies; ranks with equal load and free slots get them in descending order. A branch ends if
/// a rank is no better than the best.
/// Complexity: exponential; for up to about 16 slots.
class exact_layer {
 public:
  /// Requires as many slots as experts, at least.
  SHUNT_CONSTEXPR exact_layer(std::span<std::int64_t const> loads,
                              std::span<std::int32_t const> slots_per_rank, bool repeats);

  /// Searches a placement whose fullest rank has fewer tokens than `best`, and then a better one.
  /// Ends when there is none, when a placement has at most `target`, or after `effort` nodes.
  SHUNT_CONSTEXPR void operator()(double best, double target, std::int64_t effort);

  /// Returns the expert of each slot, rank by rank, in the best placement found; nothing if none is
  /// better than the `best` given.
  [[nodiscard]] constexpr std::span<std::size_t const> found() const { return found_; }
  /// Returns the tokens of its fullest rank, or the `best` given.
  [[nodiscard]] constexpr double best() const { return best_; }
  /// Returns whether the search ended before its effort did.
  [[nodiscard]] constexpr bool finished() const { return effort_ > 0; }

 private:
  /// Returns whether a rank with so many tokens is no better than the best, beyond rounding.
  [[nodiscard]] constexpr bool hopeless(double tokens) const {
    return tokens >= best_ * (1 - 1e-12);
  }
  [[nodiscard]] constexpr bool over() const {
    return effort_ <= 0 || best_ <= target_ * (1 + 1e-12);
  }
  [[nodiscard]] constexpr double share(std::size_t e) const {
    return static_cast<double>(loads_[e]) / copies_[e];
  }

  SHUNT_CONSTEXPR void count(std::size_t e, std::int32_t spare);

  /// Gives `left` more copies of the i-th expert of the order to ranks from r on.
  SHUNT_CONSTEXPR void place(std::size_t i, std::size_t r, std::int32_t left);

  std::span<std::int64_t const> loads_;
  std::int32_t live_ = 0, spare_ = 0;
  bool repeats_;
  std::int64_t effort_ = 0;
  double best_ = 0, target_ = 0;
  std::vector<std::int32_t> copies_, free_;
  std::vector<std::size_t> order_;
  std::vector<double> load_;
  std::vector<std::int32_t> given_;  ///< experts x ranks
  std::vector<std::size_t> found_{};
};

}  // namespace shunt::detail

#ifndef SHUNT_COMPILED
#include "shunt/solve/experts/search/exact_layer.ipp"
#endif
