#pragma once
/// Earliest start times of a schedule's operations, and the order in which stages finish. Lowerings
/// break ties and order queues by these times, so that waits point back in time however messages
/// are delayed.
#include <cstddef>
#include <cstdint>
#include <vector>

#include "shunt/core/config.hpp"
#include "shunt/core/id.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/core/operation.hpp"
#include "shunt/core/units.hpp"
#include "shunt/plan/pipeline_schedule.hpp"
#include "shunt/problem/pipeline_job.hpp"

namespace shunt::detail {

/// Numbers of micro-batches at stages (cells), as the job counts them. Each has one forward and one
/// gradient. Keeps a reference to the job.
struct pipeline_cells {
  pipeline_job const& job;
  std::size_t stages, count;

  constexpr explicit pipeline_cells(pipeline_job const& of)
      : job(of), stages(static_cast<std::size_t>(of.stages)), count(of.cells()) {}

  [[nodiscard]] constexpr std::size_t operator()(operation const& o) const {
    return job.cell(o.pipeline, o.stage, o.microbatch);
  }
  /// Returns the cells of a stage of a pipeline: so far apart are those of neighbouring stages.
  [[nodiscard]] constexpr std::size_t of_stage(pipeline_id p) const {
    return static_cast<std::size_t>(job.microbatches[p]);
  }
  /// Returns the first cell of a pipeline.
  [[nodiscard]] constexpr std::size_t first_of(pipeline_id p) const {
    return static_cast<std::size_t>(job.microbatches.before(p)) * stages;
  }
  /// Forward and backward_input of cell c are outputs 2c and 2c + 1.
  [[nodiscard]] SHUNT_CONSTEXPR operation output(std::size_t number) const;
};

[[nodiscard]] constexpr bool makes_gradient(op_kind k) {
  return k == op_kind::backward || k == op_kind::backward_input;
}

/// A place for the reduction of a stage in the list of a rank: before operation `index`.
struct reduction_place {
  std::int32_t index = 0;
  stage_id stage{};
  bool operator==(reduction_place const&) const = default;
};

/// Results of `starts_of`.
struct pipeline_starts {
  /// By cell: start of the forward, and of the backward or backward_input; -1: there is none.
  std::vector<ticks> forward{}, gradient{};
  /// By stage: its number in the order in which all ranks have finished its operations, from 0.
  std::vector<std::int32_t> finished{};
  ticks latest = 0;
  /// By rank, in the order of the list: where reductions stand among the operations, where a rank
  /// steps a stage before operations of another one, or steps two stages that unlike ranks step;
  /// otherwise empty, and reductions stand before the steps. A reduction stands before the first
  /// operation that starts later than the stage ends on all ranks, in the order of running where
  /// they start at one time. So all waits point back in this order.
  indexed<rank_id, std::vector<reduction_place>> reductions{};
};

/// Returns the earliest start times. An operation waits for its predecessor in the list and for its
/// input, plus the transfer from another rank; an overlapped pair for the inputs of both; a step
/// for all operations of its stage, or of all stages where it isn't staggered.
/// Throws invalid_program where ranks deadlock.
/// Requires that the schedule has only operations of the job, each at most once.
/// Complexity: O(operations).
[[nodiscard]] SHUNT_CONSTEXPR pipeline_starts starts_of(pipeline_job const& job,
                                                        pipeline_schedule const& schedule);

}  // namespace shunt::detail

#ifndef SHUNT_COMPILED
#include "shunt/lower/detail/pipeline_starts.ipp"
#endif
