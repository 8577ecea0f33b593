#pragma once
/// Cuts a chain of layers into the stages of one layout, judged by a lower bound of every order of
/// the stages.
///
/// Tries all cuts where there are few. Otherwise starts from the cut with the least longest stage
/// and from even numbers of layers, and shifts runs of borders by a layer under late acceptance: a
/// step is taken where the cut is no worse than the one some steps ago. Where two ranks meet at
/// several borders, one of them gives a layer away and the other border takes one back. Cuts
/// compare by the fourth powers of the times at which their ranks can end, which nears the maximum
/// and has no plateaus. Effort counts steps, so the answer is the same on any platform. Complexity:
/// O(chunks) a shift, O(stages) a new cut. Reference: Burke and Bykov, The late acceptance
/// hill-climbing heuristic, EJOR 2017.
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
  byte_count excess = 0;  ///< bytes beyond the memory, of all ranks with one micro-batch
  ticks makespan = 0;     ///< no order takes less

  auto operator<=>(cut_value const&) const = default;
};

/// The cuts of one layout. Keeps a reference to the job.
class border_search {
 public:
  /// Requires a valid job of one pipeline and a layout of it that has `stages` stages.
  border_search(layer_job const& job, stage_layout const& layout, std::int32_t stages);

  [[nodiscard]] stage_layout const& layout() const { return layout_; }
  [[nodiscard]] cut_value value_of(stage_borders const& borders);
  /// From now on cuts are also judged by what each rank is expected to idle, in ticks: values are
  /// then no bounds. Empty: nothing is expected, as at first.
  void expect(std::vector<ticks> const& idle);

  /// Returns the cut with equal numbers of layers; the first stages have one more where they don't
  /// divide.
  [[nodiscard]] stage_borders even() const;
  /// Returns the cut with the least longest stage; under a linear layout among those that fit.
  [[nodiscard]] stage_borders balanced() const;

  /// Returns at most `most` of the best cuts that fit, best first, for `effort` cuts tried.
  [[nodiscard]] std::vector<std::pair<cut_value, stage_borders>> best(std::size_t most,
                                                                      std::int64_t effort);
  /// Returns the same from one cut on.
  [[nodiscard]] std::vector<std::pair<cut_value, stage_borders>> best_from(stage_borders borders,
                                                                           std::size_t most,
                                                                           std::int64_t effort);

 private:
  struct sums {
    ticks forward = 0, input = 0, weight = 0;
    byte_count state = 0, activation = 0;
  };
  struct rank_sums {
    std::vector<std::size_t> stages{};  // ascending
    ticks forward = 0, input = 0, weight = 0;
    byte_count bytes = 0;
    ticks idle = 0;          // expected
    ticks end = 0;           // no order of the rank ends earlier, but for what is expected
    std::uint64_t norm = 0;  // its fourth power, in a coarse unit
  };
  /// What a step is judged by: bytes beyond the memory, then the sum of the fourth powers.
  using level = std::pair<byte_count, std::uint64_t>;
  using pool = std::vector<std::pair<cut_value, stage_borders>>;

  [[nodiscard]] sums between(std::int32_t first, std::int32_t end) const;
  [[nodiscard]] bool fits(std::int32_t first, std::int32_t end) const;
  /// Adds a stage to its rank's sums, or takes it away.
  void count(stage_borders const& borders, std::size_t stage, int times);
  void end_of(stage_borders const& borders, rank_sums& rank) const;
  /// Takes over all of a cut.
  void load(stage_borders const& borders);
  /// Shifts one border of the loaded cut.
  void shift(stage_borders& borders, std::size_t border, std::int32_t by);
  [[nodiscard]] level level_now() const { return {excess_, norm_}; }
  [[nodiscard]] cut_value value_now() const;
  void take(rank_sums const& rank, int times);
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
  std::vector<ticks> links_{};          // by stage: transfers up to it
  /// By border: the others between stages of the same two ranks.
  std::vector<std::vector<std::size_t>> alike_{};
  std::vector<rank_sums> ranks_{};  // of the loaded cut
  byte_count excess_ = 0;
  std::uint64_t norm_ = 0, state_ = 1;
  int coarse_ = 0;  // bits of an end that the norm leaves out
};

}  // namespace shunt::detail

#ifndef SHUNT_COMPILED
#include "shunt/solve/pipeline/search/border_search.ipp"
#endif
