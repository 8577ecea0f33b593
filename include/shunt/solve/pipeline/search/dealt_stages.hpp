#pragma once
/// Deals stages to ranks that need not follow each other in turns: a custom layout, whose ranks may
/// have unlike numbers of chunks.
///
/// Consecutive layers make stages of about equal forwards. In the order of the chain each goes to
/// the rank with the least forward work so far; a last stage longer than a third of a rank's share
/// has its rank from the start. Then stages change ranks, and borders move by a layer, under late
/// acceptance: a move is kept where the deal is no worse than the one some moves ago. Deals compare
/// by the squares of what the ranks' expected ends exceed the mean work. Effort counts moves tried,
/// so the answer is the same on any platform.
/// Complexity: O(stages x ranks) a deal, O(chunks log layers) a move.
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
///
/// What ranks idle at the start. When the first micro-batch has gone through forwards of t ticks,
/// a rank's stages before there have c(t) ticks of forwards, the ranks t / N in the mean. Since all
/// stages must pass on equally many micro-batches, a rank with less than its part waits for the
/// others: it is expected to idle for the fraction 1 - c(t) / (1.2 t / N) of the time, where that
/// is positive.
class dealt_stages {
 public:
  /// The stages and the rank of each.
  struct state {
    stage_borders borders{};
    std::vector<std::size_t> rank_of{};
  };

  /// Deals at most `stages` stages, of which a rank has at most `chunks`.
  /// Requires a valid job of one pipeline, and ranks <= stages <= ranks x chunks.
  dealt_stages(layer_job const& job, std::int32_t stages, std::int32_t chunks);

  /// Returns whether every rank has a stage.
  [[nodiscard]] bool complete() const;
  [[nodiscard]] state const& now() const { return now_; }
  [[nodiscard]] stage_layout layout() const;
  /// Returns the work of each rank, of all micro-batches.
  [[nodiscard]] std::vector<ticks> work() const;
  /// Returns the forwards before the first stage of each rank.
  [[nodiscard]] std::vector<ticks> starts() const;
  /// Returns what each rank is expected to idle.
  [[nodiscard]] std::vector<ticks> expected_idle() const;

  /// Goes back to a state of this object.
  void restore(state const& to);
  /// Makes the last end of a rank earlier, where rank r idles for `idle[r]`: takes moves after
  /// which the later one of two ranks ends no later. Stages in a row may come to one rank.
  void balance(std::vector<ticks> const& idle, std::int64_t moves);
  /// Looks for earlier ends of the ranks, where rank r ends after its work, `weight` times what it
  /// is expected to idle, and `more[r]` ticks. The last deals are about equally good, and differ.
  void improve(std::vector<ticks> const& more, ticks weight, std::int64_t moves);

 private:
  struct move {
    std::size_t from = 0, to = 0;  // ranks
    std::size_t stage = 0, other = 0;
    std::int32_t kind = 0, by = 0;
  };

  [[nodiscard]] ticks work(std::size_t stage) const;
  [[nodiscard]] ticks idle(std::size_t rank) const;
  [[nodiscard]] bool meets_itself(std::size_t stage) const;
  void cut(std::int32_t stages);
  void deal(std::int32_t chunks);
  void collect();
  [[nodiscard]] bool propose(move& m);
  void apply(move const& m, bool back);
  void give(std::size_t stage, std::size_t from, std::size_t to);

  layer_job const& job_;
  std::int32_t chunks_;
  int shift_ = 0;                            // of ticks to the units of moves
  std::vector<ticks> forward_{0}, work_{0};  // of the layers before l
  std::vector<ticks> pace_{0};  // sum over the layers before l of forward / (1.2 t / N), / 2^16
  state now_{};
  std::vector<std::vector<std::size_t>> stages_of_{};  // by rank, ascending
  std::vector<ticks> load_{};                          // by rank, of a micro-batch
  splitmix64 random_{1};
};

}  // namespace shunt::detail

#ifndef SHUNT_COMPILED
#include "shunt/solve/pipeline/search/dealt_stages.ipp"
#endif
