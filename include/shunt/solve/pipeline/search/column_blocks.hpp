#pragma once
/// Blocks of ranks that train a chain of stages together, chosen by bounds on their period.
///
/// A block computes N of the units (micro-batches, or their lengths). Its columns cut the stages
/// into runs; the ranks of a column share them. With one rank a column a block is a pipeline. Under
/// a limit T, for sums F, I, W, step of a rank over a column, and tail, the way behind it and back,
/// it computes at most w units, and a column is enough where its ranks' w have the sum N:
///     w (F + I + W) + step <= T                     the work of one rank
///     F + tail + w (I + W) + step <= T              the gradients after the first has arrived
/// A dynamic program over the stages finds the fewest ranks for every N, and one over the ranks the
/// blocks with the most units. Both count each kind of rank; where that is too much, no block mixes
/// kinds. Complexity: O(S^2 N + ranks^2) for one T and kind, for N units of the largest block.
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "shunt/core/units.hpp"
#include "shunt/problem/worker_losses.hpp"

namespace shunt::detail {

/// Ranks that count as alike.
struct rank_kind {
  std::int32_t ranks = 0;
  std::vector<rank_ticks> at{};  ///< by stage
};
/// The most kinds that are told apart.
inline constexpr std::size_t most_kinds = 3;

/// Stages first .. end-1 of a block, on so many ranks; `others[k - 1]` of them are of kind k.
struct block_column {
  std::int32_t first = 0, end = 0, ranks = 1;
  std::array<std::int32_t, most_kinds - 1> others{};

  auto operator<=>(block_column const&) const = default;
  bool operator==(block_column const&) const = default;
};

struct column_block {
  std::int32_t microbatches = 0;
  std::vector<block_column> columns{};
  std::vector<std::int32_t> numbers{};  ///< of the micro-batches, ascending; none: all are alike

  [[nodiscard]] std::int32_t ranks() const;
  /// Returns the most ranks of a column: the pipelines of the block.
  [[nodiscard]] std::int32_t widest() const;
  auto operator<=>(column_block const&) const = default;
  bool operator==(column_block const&) const = default;
};

/// Searches blocks for the live ranks of a job.
class block_search {
 public:
  /// `stash`: what a rank can stash at least, in the job's units; nothing without a limit.
  /// Requires valid losses and 1 to most_kinds kinds.
  block_search(worker_losses const& losses, std::vector<rank_kind> kinds,
               std::optional<std::int64_t> stash);

  /// With `chains` the columns have one rank each, with `few` ties go to long columns.
  struct shape {
    bool chains = false, few = false;
  };
  /// Returns the least T under which blocks are found, or nothing.
  [[nodiscard]] std::optional<ticks> least(shape of);
  /// Returns blocks under T with all micro-batches, or none. Some ranks may be left.
  [[nodiscard]] std::vector<column_block> under(ticks limit, shape of);

 private:
  using counts = std::array<std::int32_t, most_kinds - 1>;  // of ranks of the kinds above 0
  static constexpr std::int32_t most_ranks = 64;            // of kind 0, of a block
  static constexpr std::int32_t never = 1 << 30;
  static constexpr std::int64_t most_steps = 4'000'000;  // for one T, where kinds mix

  /// All counts of at most so many, numbered: number 0 is none, and numbers add as counts do.
  struct numbered_counts {
    explicit numbered_counts(counts const& most = {});
    [[nodiscard]] std::size_t number(counts const& n) const;
    std::array<std::size_t, most_kinds - 1> step{};
    std::vector<counts> all{};
  };
  struct cut {
    std::int32_t end = 0;
    std::size_t others = 0;  // of the column, by number
  };
  struct filled_block {
    block_search* by;
    std::int32_t units;
    std::size_t others;
  };

  [[nodiscard]] std::size_t at(std::int32_t first, std::int32_t end) const;
  /// Decides how many ranks of each kind a block mixes, or that none does.
  void set_mixing(worker_losses const& losses, std::optional<std::int64_t> stash);
  /// Sets the most units of a rank of each kind for each column.
  void set_limit(ticks limit);
  /// Returns the ranks of kind 0 that a column needs beside others, or `never`.
  [[nodiscard]] std::int32_t needed(std::size_t column, std::int32_t units, counts const& others,
                                    shape of) const;
  /// Sets `fewest_` and `cuts_` for a block of so many units.
  void cover(std::int32_t units, shape of);
  /// Returns the blocks with the most units of all ranks.
  [[nodiscard]] std::vector<filled_block> fullest(ticks limit, shape of);
  [[nodiscard]] std::vector<block_column> columns_of(filled_block const& block, shape of);
  /// Gives blocks of so many units their micro-batches by length, the longest first.
  void deal(std::vector<column_block>& blocks) const;

  struct sums {
    std::vector<ticks> forward, input, weight, step;  // before each stage
  };
  std::int32_t stages_, units_ = 0;
  std::vector<rank_kind> kinds_;
  std::vector<std::int32_t> lengths_;
  std::int64_t unit_ = 1, shortest_ = 1;  // length of a unit
  ticks transfer_;
  std::vector<sums> sums_{};           // by kind
  std::vector<ticks> behind_{};        // by stage, the way from there to the end and back
  std::vector<char> fits_;             // by column
  std::vector<block_search> apart_{};  // of each kind, where blocks mix none
  std::size_t kind_ = 0;               // of such a one, where it counts as kind 0
  numbered_counts mixed_{};            // of a block
  std::array<std::vector<std::int32_t>, most_kinds> most_{};  // by column, units of a rank
  std::vector<std::int32_t> fewest_{};  // [stage][most others], ranks of kind 0 from there on
  std::vector<cut> cuts_{};             // [stage][most others]
  std::vector<std::int32_t> last_{};    // by first stage, the end of the longest column
};

}  // namespace shunt::detail

#ifndef SHUNT_COMPILED
#include "shunt/solve/pipeline/search/column_blocks.ipp"
#endif
