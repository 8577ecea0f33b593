#pragma once
/// Building blocks: the way of one micro-batch through the pipeline, repeated at a fixed distance.
///
/// Every operation takes one slot. The block repeats every T slots, three per worker of the fullest
/// rank, so that no rank idles between repetitions. The micro-batch moves to the next worker as
/// soon as its rank has a slot free modulo T, or a few slots later: each leg of a V, there or back,
/// has one such delay per chunk. The life of a micro-batch on a worker gives the worker's stash.
/// The shortest block is V-min; one with half of 1F1B's stash is V-half.
/// Complexity: O(workers * T).
/// Reference: Qi et al., Pipeline Parallelism with Controllable Memory, arXiv 2405.15362.
#include <cstddef>
#include <cstdint>
#include <vector>

#include "shunt/core/units.hpp"
#include "shunt/problem/pipeline_job.hpp"
#include "shunt/solve/pipeline/search/chain_scheduler.hpp"

namespace shunt::detail {

/// Extra slots: before each hop of a forward or a backward_input, [0] of an even chunk, [1] of an
/// odd one; and at the turn.
struct block_shape {
  std::int32_t forward[2] = {0, 0};
  std::int32_t input[2] = {0, 0};
  std::int32_t turn = 0;  ///< from the last forward to its backward_input
  bool operator==(block_shape const&) const = default;
};

/// The slots of a block, by worker in the numbering of `chain_scheduler`. `period` is T.
struct repeated_block {
  std::int32_t period = 1;
  std::vector<ticks> forward{}, input{}, weight{};

  repeated_block(pipeline_job const& job, chain_scheduler const& chain, block_shape const& shape);

  /// Returns the maximum number of micro-batches between the forward and the end of the
  /// backward_input on a worker.
  [[nodiscard]] std::int32_t in_flight(std::size_t q) const;
};

}  // namespace shunt::detail

#ifndef SHUNT_COMPILED
#include "shunt/solve/pipeline/search/repeated_block.ipp"
#endif
