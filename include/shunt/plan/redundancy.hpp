#pragma once
/// Redundant computation inside a pipeline: its workers form a ring, and each one, the shadow, also
/// has the parameters of the stage behind its own.
/// Reference: Thorpe et al., Bamboo, NSDI 2023.
#include <cstdint>
#include <vector>

#include "shunt/core/id.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/core/operation.hpp"
#include "shunt/plan/pipeline_schedule.hpp"
#include "shunt/problem/pipeline_job.hpp"
#include "shunt/problem/stage_layout.hpp"

namespace shunt {

/// Returns the shadow of a worker: the one of the stage before, of stage 0 the one of the last.
/// In a pipeline of one stage that is the worker itself.
[[nodiscard]] constexpr worker shadow_of(worker w, std::int32_t stages) {
  return {w.pipeline, (w.stage.value() + stages - 1) % stages};
}

/// Returns the lockstep of 1F1B in which an operation runs, from 0: the forward of micro-batch m at
/// stage s of S in s + 2 m, its backward in 2 S - 1 - s + 2 m. In one of them a worker has at most
/// one operation, which needs only those of earlier ones.
/// Requires a forward or a fused backward.
[[nodiscard]] constexpr std::int64_t lockstep_of(operation const& o, std::int32_t stages) {
  std::int64_t const s = o.stage.value(), twice = std::int64_t{2} * o.microbatch.value();
  return (o.kind == op_kind::forward ? s : std::int64_t{2} * stages - 1 - s) + twice;
}

/// A forward that the shadow of its worker computes besides its own list.
struct redundant_operation {
  operation forward{};
  std::int32_t before = 0;  ///< index of the operation of the own list that follows it

  bool operator==(redundant_operation const&) const = default;
};

/// A schedule, and redundant forwards between its operations. They have no effect on the iteration
/// but the time that they take. Their outputs stay on the shadow until the step.
struct redundant_schedule {
  pipeline_schedule plain{};
  /// Of every rank, `before` never falls.
  indexed<rank_id, std::vector<redundant_operation>> redundant{};

  bool operator==(redundant_schedule const&) const = default;
};

/// Start and end of every operation of a redundant schedule.
struct redundant_timetable {
  timetable plain{};
  indexed<rank_id, std::vector<interval>> redundant{};

  bool operator==(redundant_timetable const&) const = default;
};

/// How the shadow of a lost worker goes on: with the interrupted iteration, and with the following
/// ones until a rendezvous forms new pipelines.
struct shadow_takeover {
  worker lost{};
  worker shadow{};
  /// Forwards of the lost worker that the shadow has made in the interrupted iteration.
  std::vector<operation> reused{};
  /// What the shadow still computes of that iteration, steps included. Its neighbours send again
  /// what the lost worker had received.
  std::vector<operation> resumed{};
  /// The following iterations: a custom layout of the live ranks in which the shadow has the lost
  /// worker's stage too. It has no dead workers.
  pipeline_job job{};
  pipeline_schedule schedule{};
  std::vector<rank_id> survivors{};  ///< `survivors[r]`: the rank that is r in `job`

  bool operator==(shadow_takeover const&) const = default;
};

}  // namespace shunt
