#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "shunt/core/id.hpp"
#include "shunt/core/operation.hpp"
#include "shunt/problem/pipeline_job.hpp"

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
  /// The ranks deadlock: `count` operations can never start. The named one is the first.
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

[[nodiscard]] constexpr std::string_view to_string(pipeline_rule rule) {
  switch (rule) {
    case pipeline_rule::lists: return "lists";
    case pipeline_rule::unknown: return "unknown";
    case pipeline_rule::dead_worker: return "dead_worker";
    case pipeline_rule::wrong_stage: return "wrong_stage";
    case pipeline_rule::repeated: return "repeated";
    case pipeline_rule::missing: return "missing";
    case pipeline_rule::stash_elsewhere: return "stash_elsewhere";
    case pipeline_rule::before_its_input: return "before_its_input";
    case pipeline_rule::step_missing: return "step_missing";
    case pipeline_rule::step_not_last: return "step_not_last";
    case pipeline_rule::pair_place: return "pair_place";
    case pipeline_rule::pair_kinds: return "pair_kinds";
    case pipeline_rule::memory: return "memory";
    case pipeline_rule::cycle: return "cycle";
    case pipeline_rule::altered: return "altered";
    case pipeline_rule::bad_message: return "bad_message";
    case pipeline_rule::not_received: return "not_received";
    case pipeline_rule::sent_early: return "sent_early";
    case pipeline_rule::unmatched: return "unmatched";
    case pipeline_rule::overtaken: return "overtaken";
    case pipeline_rule::deadlock: return "deadlock";
    case pipeline_rule::untimed: return "untimed";
    case pipeline_rule::duration: return "duration";
    case pipeline_rule::early: return "early";
    case pipeline_rule::apart: return "apart";
    case pipeline_rule::overlap: return "overlap";
    case pipeline_rule::dependency: return "dependency";
    case pipeline_rule::early_step: return "early_step";
  }
  return "unknown rule";
}

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

  constexpr bool operator==(pipeline_violation const&) const = default;
};

/// Returns a description, for example "backward of micro-batch 2:5 at stage 1".
[[nodiscard]] inline std::string describe(operation const& o) {
  std::string text{to_string(o.kind)};
  if (o.kind != op_kind::step)
    text += " of micro-batch " + std::to_string(o.pipeline.value()) + ":" +
            std::to_string(o.microbatch.value());
  return text + " at stage " + std::to_string(o.stage.value());
}

/// Returns one line that names the place, the rule and the numbers.
[[nodiscard]] inline std::string to_string(pipeline_violation const& v) {
  auto const number = [](std::int64_t n) { return std::to_string(n); };
  std::string const what = describe(v.operation), related = describe(v.related);
  std::string text = std::string(to_string(v.rule)) + ": ";
  if (v.rule != pipeline_rule::lists && v.rule != pipeline_rule::missing) {
    text += "worker " + number(v.worker.pipeline.value()) + ":" + number(v.worker.stage.value());
    if (v.index >= 0) text += ", operation " + number(v.index) + " (" + what + ")";
    text += ": ";
  }
  switch (v.rule) {
    case pipeline_rule::lists:
      return text + number(v.count) + " lists for " + number(v.limit) + " workers";
    case pipeline_rule::unknown: return text + "the job has no such operation";
    case pipeline_rule::dead_worker: return text + "the worker is dead";
    case pipeline_rule::wrong_stage: return text + "the worker doesn't hold this stage";
    case pipeline_rule::repeated: return text + "computed before, as " + related;
    case pipeline_rule::missing: return text + "nobody computes the " + what;
    case pipeline_rule::stash_elsewhere:
      return text + "the stash lies on another worker, with the " + related;
    case pipeline_rule::before_its_input: return text + "stands before the " + related;
    case pipeline_rule::step_missing:
      return text + "never steps stage " + number(v.operation.stage.value());
    case pipeline_rule::step_not_last: return text + "stands after the " + related;
    case pipeline_rule::pair_place:
      return text + "the pair at " + number(v.count) + " has no place of its own in a list of " +
             number(v.limit) + " operations";
    case pipeline_rule::pair_kinds: return text + "can't overlap with the " + related;
    case pipeline_rule::memory:
      return text + number(v.count) + " stashed, the cap is " + number(v.limit);
    case pipeline_rule::cycle:
      return text + "can't start, nor can " + number(v.count - 1) +
             " others: workers wait for each other";
    case pipeline_rule::altered: return text + "the schedule has the " + related + " there";
    case pipeline_rule::bad_message: return text + "no message of this job";
    case pipeline_rule::not_received:
      return text + "what it computes from is neither made nor received before it";
    case pipeline_rule::sent_early: return text + "is sent before it is made";
    case pipeline_rule::unmatched: return text + "the peer has no counterpart";
    case pipeline_rule::overtaken:
      return text + "sent as number " + number(v.count) + " to its peer, received as number " +
             number(v.limit);
    case pipeline_rule::deadlock:
      return text + "waits forever, as do " + number(v.count - 1) + " others";
    case pipeline_rule::untimed:
      return text + number(v.count) + " times for " + number(v.limit) + " operations";
    case pipeline_rule::duration:
      return text + "takes " + number(v.count) + " ticks, costs " + number(v.limit);
    case pipeline_rule::early: return text + "starts at " + number(v.count) + ", before time 0";
    case pipeline_rule::apart:
      return text + "starts or ends at " + number(v.count) + ", the " + related +
             " of the same pair at " + number(v.limit);
    case pipeline_rule::overlap:
      return text + "starts at " + number(v.count) + ", the operation before it ends at " +
             number(v.limit);
    case pipeline_rule::dependency:
      return text + "starts at " + number(v.count) + ", what it needs from the " + related +
             " is there at " + number(v.limit);
    case pipeline_rule::early_step:
      return text + "starts at " + number(v.count) + ", the " + related + " ends at " +
             number(v.limit);
  }
  return text;
}

}  // namespace shunt
