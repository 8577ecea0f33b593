#pragma once
/// Merges several orders on one worker into one: the schedule that results when each worker runs
/// the first operation that can start.
///
/// Every worker has streams: lists of operations that keep their order. An idle worker starts the
/// first operation of one of its streams. Among those with their input it takes an input gradient
/// before a forward before a backward_weight, then the one that could start earliest, the lowest
/// micro-batch, the lowest pipeline. A forward that would exceed the stash cap waits. A deadlock
/// occurs only where streams that fit together do not fit under the cap.
/// Complexity: O(n (log R + streams a worker)) for n operations on R ranks.
#include <vector>

#include "shunt/core/config.hpp"
#include "shunt/core/id.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/core/operation.hpp"
#include "shunt/plan/pipeline_schedule.hpp"
#include "shunt/problem/pipeline_job.hpp"

namespace shunt::detail {

/// The streams of a worker, without steps. The steps are appended to the lists of live workers.
using operation_streams = std::vector<std::vector<operation>>;

/// The result of merging.
struct merged_streams {
  pipeline_schedule schedule{};
  bool complete = false;  ///< false: the streams deadlock, and the schedule is empty
};

/// Returns the merged schedule of the streams of every rank.
/// Requires a valid job.
[[nodiscard]] SHUNT_CONSTEXPR merged_streams
merge_streams(pipeline_job const& job, indexed<rank_id, operation_streams> const& streams);

}  // namespace shunt::detail

#ifndef SHUNT_COMPILED
#include "shunt/solve/pipeline/search/merge_streams.ipp"
#endif
