#pragma once
/// Blocks of ranks that train a chain of stages together, chosen by bounds on their period.
///
/// A block computes N of the micro-batches. Its columns cut the stages into runs; the g ranks of a
/// column share them, at most w = ceil(N / g) each. With one rank a column a block is a pipeline.
/// Under a limit T, for sums F, I, W, step over a column, and tail, the way behind it and back,
///     w (F + I + W) + step <= T                     the work of one rank
///     F + tail + w (I + W) + step <= T              the gradients after the first has arrived
/// A dynamic program over the stages finds the fewest ranks for every N, and one over the ranks the
/// blocks with the most micro-batches.
/// Complexity: O(S^2 N + ranks^2) for one T, for N micro-batches of the largest block.
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "shunt/core/units.hpp"
#include "shunt/problem/worker_losses.hpp"

namespace shunt::detail {

/// Stages first .. end-1 of a block, on so many ranks.
struct block_column {
  std::int32_t first = 0, end = 0, ranks = 1;

  auto operator<=>(block_column const&) const = default;
  bool operator==(block_column const&) const = default;
};

struct column_block {
  std::int32_t microbatches = 0;
  std::vector<block_column> columns{};

  [[nodiscard]] std::int32_t ranks() const;
  /// Returns the most ranks of a column: the pipelines of the block.
  [[nodiscard]] std::int32_t widest() const;
  auto operator<=>(column_block const&) const = default;
  bool operator==(column_block const&) const = default;
};

/// Searches blocks for the live ranks of a job. Costs are those by stage.
class block_search {
 public:
  /// `stash`: what a rank can stash at least, in the job's units; nothing without a limit.
  /// Requires valid losses with even costs.
  block_search(worker_losses const& losses, std::int32_t ranks, std::optional<std::int64_t> stash);

  /// With `chains` the columns have one rank each, with `few` ties go to long columns.
  struct shape {
    bool chains = false, few = false;
  };
  /// Returns the least T under which blocks are found, or nothing.
  [[nodiscard]] std::optional<ticks> least(shape of);
  /// Returns blocks under T with all micro-batches, or none. Some ranks may be left.
  [[nodiscard]] std::vector<column_block> under(ticks limit, shape of);

 private:
  static constexpr std::int32_t most_ranks = 64;  // of a block
  static constexpr std::int32_t never = 1 << 30;

  [[nodiscard]] std::size_t at(std::int32_t first, std::int32_t end) const;
  /// Sets the most micro-batches of a rank for each column.
  void set_limit(ticks limit);
  /// Sets `fewest_` and `ends_` for a block of so many micro-batches. Returns its ranks.
  std::int32_t cover(std::int32_t microbatches, shape of);
  /// Returns the most micro-batches of blocks of so many ranks, each number of ranks.
  std::vector<std::int32_t> largest_blocks(shape of);

  std::int32_t stages_, ranks_, microbatches_;
  std::vector<ticks> forward_, input_, weight_, step_;  // sums before each stage
  ticks transfer_;
  std::vector<char> fits_;                       // by column
  std::vector<std::int32_t> most_{};             // by column, micro-batches of a rank
  std::vector<std::int32_t> fewest_{}, ends_{};  // by stage, ranks from there on
  std::vector<std::int32_t> last_{};             // by first stage, the end of the longest column
};

}  // namespace shunt::detail

#ifndef SHUNT_COMPILED
#include "shunt/solve/pipeline/search/column_blocks.ipp"
#endif
