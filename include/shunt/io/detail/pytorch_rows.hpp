#pragma once
/// Rows of the CSV of torch.distributed.pipelining, from a plan.
#include <cstddef>
#include <cstdint>
#include <ostream>
#include <utility>
#include <vector>

#include "shunt/core/id.hpp"
#include "shunt/core/units.hpp"
#include "shunt/io/pytorch_action.hpp"
#include "shunt/plan/pipeline_schedule.hpp"
#include "shunt/problem/pipeline_job.hpp"

namespace shunt::detail {

/// Returns the ranks of one pipeline, which are the rows of its file.
/// Throws invalid_problem, which names the field, where a CSV cannot express the plan.
[[nodiscard]] std::vector<rank_id> pytorch_ranks(pipeline_job const& job,
                                                 pipeline_schedule const& plan,
                                                 pipeline_id pipeline);

/// The rows of a file: each rank's operations, and the actions between them.
class pytorch_rows {
 public:
  using kind = pytorch_action::kind;

  pytorch_rows(pipeline_job const& job, pipeline_schedule const& plan, std::vector<rank_id> ranks)
      : job_(job), plan_(plan), ranks_(std::move(ranks)) {}

  /// Adds sends and receives at the times in `table` at which their contents are ready, and
  /// reductions.
  /// Throws invalid_problem where `table` is not the plan's.
  void add_transfers(timetable const& table, pipeline_id pipeline);
  /// Adds a wait for each send and each reduction.
  void add_waits(pipeline_id pipeline);

  void write(std::ostream& out) const;

 private:
  /// An action that is no operation, in front of operation number `before`.
  struct extra {
    rank_id rank;
    std::int32_t before;
    ticks ready;  ///< largest for what comes last, least for what comes first
    std::int64_t message;
    pytorch_action action;
    bool operator<(extra const& other) const;
  };
  [[nodiscard]] bool starts_pair(rank_id r, std::size_t i) const;

  pipeline_job const& job_;
  pipeline_schedule const& plan_;
  std::vector<rank_id> ranks_;
  std::vector<extra> extras_{};
};

}  // namespace shunt::detail

#ifndef SHUNT_COMPILED
#include "shunt/io/detail/pytorch_rows.ipp"
#endif
