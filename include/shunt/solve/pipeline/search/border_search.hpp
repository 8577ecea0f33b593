#pragma once
/// Cuts a chain of layers into the stages of one layout, judged by a lower bound of every order of
/// the stages.
///
/// Tries all cuts where there are few. Otherwise starts from the cut with the least longest stage
/// and from even numbers of layers, and shifts runs of borders by a layer under late acceptance: a
/// step is taken where the cut is no worse than the one some steps ago. Effort counts steps, so the
/// answer is the same on any platform.
/// Complexity: O(S) a cut of S stages.
/// Reference: Burke and Bykov, The late acceptance hill-climbing heuristic, EJOR 2017.
#include <compare>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "shunt/core/units.hpp"
#include "shunt/plan/layer_partition.hpp"
#include "shunt/problem/layer_job.hpp"
#include "shunt/problem/stage_layout.hpp"

namespace shunt::detail {

/// Borders of stages: stage s has the layers `borders[s]` .. `borders[s + 1]` - 1.
using stage_borders = std::vector<std::int32_t>;

/// Returns the stages between borders.
[[nodiscard]] std::vector<layer_range> ranges_of(stage_borders const& borders);

/// What a cut is judged by; less is better.
struct cut_value {
  byte_count excess = 0;     ///< bytes beyond the memory, of all ranks with one micro-batch
  ticks makespan = 0;        ///< no order takes less
  std::uint64_t spread = 0;  ///< sum of squares over the ranks, in a coarse unit

  constexpr auto operator<=>(cut_value const&) const = default;
};

/// The cuts of one layout. Keeps a reference to the job.
class border_search {
 public:
  /// Requires a valid job of one pipeline and a layout of it that has `stages` stages.
  border_search(layer_job const& job, stage_layout const& layout, std::int32_t stages);

  [[nodiscard]] stage_layout const& layout() const { return layout_; }
  [[nodiscard]] cut_value value_of(stage_borders const& borders);

  /// Returns the cut with equal numbers of layers; the first stages have one more where they don't
  /// divide.
  [[nodiscard]] stage_borders even() const;
  /// Returns the cut with the least longest stage; under a linear layout among those that fit.
  [[nodiscard]] stage_borders balanced() const;

  /// Returns at most `most` of the best cuts that fit, best first, for `effort` cuts tried.
  [[nodiscard]] std::vector<std::pair<cut_value, stage_borders>> best(std::size_t most,
                                                                      std::int64_t effort);

 private:
  struct sums {
    ticks forward = 0, input = 0, weight = 0;
    byte_count state = 0, activation = 0;
  };
  struct rank_sums {
    ticks forward = 0, input = 0, weight = 0, before = 0, after = 0, rest = 0;
    byte_count bytes = 0;
    bool met = false;
  };
  using pool = std::vector<std::pair<cut_value, stage_borders>>;

  [[nodiscard]] sums between(std::int32_t first, std::int32_t end) const;
  [[nodiscard]] bool fits(std::int32_t first, std::int32_t end) const;
  /// Returns the number of cuts, or `limit` where there are more.
  [[nodiscard]] std::int64_t cuts(std::int64_t limit) const;
  static void keep(pool& best, std::size_t most, cut_value const& value,
                   stage_borders const& borders);
  void every_cut(pool& best, std::size_t most);
  void climb(pool& best, std::size_t most, stage_borders borders, std::int64_t effort);

  layer_job const& job_;
  stage_layout layout_;
  std::int32_t stages_;
  std::vector<sums> until_{};           // [l]: of the layers before l
  std::vector<std::size_t> rank_of_{};  // by stage
  std::vector<rank_sums> ranks_{};      // of the last cut
  std::uint64_t state_ = 1;
  int shift_ = 0;
};

}  // namespace shunt::detail

#ifndef SHUNT_COMPILED
#include "shunt/solve/pipeline/search/border_search.ipp"
#endif
