#pragma once
/// Deals stages to ranks that need not follow each other in turns: a custom layout, whose ranks may
/// have unlike numbers of chunks.
///
/// Consecutive layers make stages of about equal forwards. In the order of the chain each goes to
/// the rank with the least forward work so far, so that the first micro-batch finds all ranks about
/// equally loaded wherever it is; a last stage longer than a third of a rank's share has its rank
/// from the start. Then stages change ranks, or borders move by a layer, where the later one of the
/// two ranks ends no later. Effort counts moves tried, so the answer is the same on any platform.
/// Complexity: O(stages x ranks) a deal, O(1) a move.
#include <cstddef>
#include <cstdint>
#include <vector>

#include "shunt/core/splitmix64.hpp"
#include "shunt/core/units.hpp"
#include "shunt/problem/layer_job.hpp"
#include "shunt/problem/stage_layout.hpp"
#include "shunt/solve/pipeline/search/border_search.hpp"

namespace shunt::detail {

/// One deal. Keeps a reference to the job.
class dealt_stages {
 public:
  /// Deals at most `stages` stages, of which a rank has at most `chunks`.
  /// Requires a valid job of one pipeline, and ranks <= stages <= ranks x chunks.
  dealt_stages(layer_job const& job, std::int32_t stages, std::int32_t chunks);

  /// Returns whether every rank has a stage.
  [[nodiscard]] bool complete() const;
  [[nodiscard]] stage_borders const& borders() const { return borders_; }
  [[nodiscard]] stage_layout layout() const;
  /// Returns the forwards before the first stage of each rank.
  [[nodiscard]] std::vector<ticks> starts() const;
  /// Makes the last end of a rank earlier, where rank r idles for `idle[r]`.
  void balance(std::vector<ticks> const& idle, std::int64_t effort);

 private:
  [[nodiscard]] ticks work(std::size_t stage) const;
  void cut(std::int32_t stages);
  void deal(std::int32_t chunks);

  layer_job const& job_;
  std::int32_t chunks_;
  std::vector<ticks> forward_{0}, work_{0};  // of the layers before l
  stage_borders borders_{};
  std::vector<std::size_t> rank_of_{};  // by stage
  std::vector<ticks> load_{};           // by rank, of a micro-batch
  std::vector<std::int32_t> count_{};   // stages of each rank
  splitmix64 random_{1};
};

}  // namespace shunt::detail

#ifndef SHUNT_COMPILED
#include "shunt/solve/pipeline/search/dealt_stages.ipp"
#endif
