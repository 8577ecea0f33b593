#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "shunt/core/config.hpp"
#include "shunt/core/id.hpp"
#include "shunt/core/operation.hpp"
#include "shunt/problem/stage_layout.hpp"

namespace shunt {

/// Rules of a pipeline schedule, of its messages and of its timetable. Each is described by its
/// violation.
enum class pipeline_rule : std::uint8_t {
  /// The lists of operations or of pairs aren't one per rank: `count` lists for `limit` ranks.
  lists,
  unknown,      ///< an operation of an unknown kind, pipeline, stage or micro-batch
  dead_worker,  ///< an operation in the list of a dead rank
  wrong_stage,  ///< an operation of a stage that the rank doesn't hold
  repeated,     ///< an operation that occurs twice, or a gradient both fused and split
  missing,      ///< an operation that occurs nowhere: `operation`; `worker` isn't set
  /// A backward on another rank than its forward (`related`), which holds the stash.
  stash_elsewhere,
  /// An operation before the one of the same micro-batch and stage that it needs (`related`).
  before_its_input,
  step_missing,  ///< a stage that a live rank holds and never steps
  /// An operation after the step of its stage (`related`): its gradient comes too late.
  step_not_last,
  /// An overlapped pair at `count` that exceeds its list of `limit`, or begins before the previous
  /// pair ends.
  pair_place,
  /// An overlapped pair (with `related`) that isn't a forward and a backward or backward_input of
  /// different micro-batches.
  pair_kinds,
  memory,  ///< `count` stashed where `limit` is allowed, in units of the job's stash weights
  /// The ranks deadlock: `count` operations can never start. The named one is the first of `cycle`.
  cycle,
  altered,  ///< a compute that differs from the schedule, which has `related` there
  /// A message of an output that no other rank needs, from or to itself or no rank, or on a lane
  /// for computing.
  bad_message,
  not_received,  ///< an operation without its input made or received before it on its rank
  sent_early,    ///< a send of an output that its rank hasn't made before
  unmatched,     ///< a send without a matching receive, or a receive without a matching send
  overtaken,     ///< a message sent as number `count` and received as number `limit`
  /// `count` actions wait forever, each lane in order and each send for its receive. The named one
  /// is the first.
  deadlock,
  untimed,   ///< `count` times for `limit` operations of a rank
  duration,  ///< an operation that takes `count` ticks instead of `limit`
  early,     ///< an operation that starts at `count`, before time 0
  /// An operation that starts or ends at `count`, the other one of its pair (`related`) at `limit`.
  apart,
  overlap,     ///< an operation that starts at `count`, its predecessor in the list ends at `limit`
  dependency,  ///< an operation that starts at `count`, its input (`related`) is there at `limit`
  /// A step that starts at `count`; an operation that it waits for (`related`) ends at `limit`.
  early_step,
};

[[nodiscard]] SHUNT_CONSTEXPR std::string_view to_string(pipeline_rule rule);

/// An operation that waits for `needs`, which no rank can start.
struct pipeline_wait {
  shunt::worker worker{};  ///< names the rank of the operation
  shunt::operation operation{};
  shunt::operation needs{};

  bool operator==(pipeline_wait const&) const = default;
};

/// One violation of a rule. `worker`, `rank` and `index` locate the operation (index -1: it is in
/// no list). The rule defines `related`, `count` and `limit`.
struct pipeline_violation {
  pipeline_rule rule = pipeline_rule::lists;
  shunt::worker worker{};
  rank_id rank{};
  std::int32_t index = -1;
  shunt::operation operation{};
  shunt::operation related{};
  std::int64_t count = 0;
  std::int64_t limit = 0;
  /// Rule `cycle`: what each operation needs is the next operation or stands behind it in its list.
  /// The last one leads back to the first. From the lowest rank on.
  std::vector<pipeline_wait> cycle{};

  bool operator==(pipeline_violation const&) const = default;
};

/// Returns one line that names the place, the rule and the numbers, and every wait of a cycle.
[[nodiscard]] std::string to_string(pipeline_violation const& v);

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/check/pipeline_violation.ipp"
#endif
