#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

#include "shunt/core/config.hpp"
#include "shunt/core/id.hpp"
#include "shunt/core/operation.hpp"
#include "shunt/problem/pipeline_job.hpp"
#include "shunt/problem/stage_runs.hpp"

namespace shunt {

/// The list of a rank that computes its run of stages as if they were one stage: forwards in
/// ascending order, everything else in descending order. Keeps references.
class run_list {
 public:
  /// Appends to `list`, which gets room for so many kinds of operations of all micro-batches.
  SHUNT_CONSTEXPR run_list(pipeline_job const& job, stage_run const& run, std::size_t kinds,
                           std::vector<operation>& list);

  /// Returns the micro-batches that the rank can stash at once under its cap, at most `wanted`.
  [[nodiscard]] SHUNT_CONSTEXPR std::int32_t most_in_flight(std::int32_t wanted) const;

  /// Appends an operation of all stages for one micro-batch.
  SHUNT_CONSTEXPR void add(op_kind kind, microbatch_id m);
  /// Appends the steps of all stages.
  SHUNT_CONSTEXPR void add_steps();

 private:
  pipeline_job const& job_;
  stage_run const& run_;
  std::vector<operation>& list_;
};

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/solve/author/run_list.ipp"
#endif
