#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "shunt/core/id.hpp"
#include "shunt/core/units.hpp"
#include "shunt/lower/pipeline_buffers.hpp"
#include "shunt/plan/pipeline_schedule.hpp"
#include "shunt/plan/reconfiguration.hpp"
#include "shunt/problem/pipeline_job.hpp"
#include "shunt/problem/stage_costs.hpp"

namespace shunt {

/// Which ranks of a run train, and as what: rank i of the job is rank `members[i]` of the run. All
/// other ranks of the run are dead or wait.
struct arrangement {
  pipeline_job job{};  ///< its ranks are all alive
  std::vector<rank_id> members{};
  /// By rank of the job: further stages whose states the rank keeps up to date
  /// (lower/shadows.hpp). Empty: no rank does.
  held_stages shadows{};
  /// For one iteration alone. Then the policy is asked for the next arrangement, without a loss.
  bool interim = false;
  /// Of an iteration, by rank of the job. Without lists: the policy plans the job.
  pipeline_schedule schedule{};

  bool operator==(arrangement const&) const = default;
};

/// Ranks with other parts, and what it cost to get there.
struct rearrangement {
  std::int64_t iteration = 0;   ///< the first that runs so
  std::vector<rank_id> dead{};  ///< ascending
  arrangement next{};
  std::vector<rank_id> waiting{};  ///< live ranks without a part, ascending
  std::int64_t copies = 0;         ///< states of stages that ranks got from others
  byte_count bytes = 0;            ///< of these
  std::int64_t redone = 0;         ///< iterations done again, the interrupted one among them
  ticks took = 0;                  ///< nanoseconds from the plan to the arrival of all states
};

/// The ranks of a run's workers, by pipeline and stage.
using worker_ranks = std::vector<std::vector<rank_id>>;

/// Returns the arrangement in which a run starts: all ranks of the job, as the job says. Its dead
/// count as alive.
[[nodiscard]] arrangement starting_arrangement(pipeline_job job);

/// Returns the arrangement of these workers with the job's costs and caps. `job` is that of the
/// run's start: caps by rank are by rank of the run. Ranks of the new job are in the order in which
/// they first come.
/// Throws invalid_problem where the workers are not those of a job, or a rank is not of the run.
[[nodiscard]] arrangement arranged(pipeline_job job, worker_ranks const& workers,
                                   std::vector<std::int32_t> microbatches);

/// Throws invalid_problem where job and ranks don't match, a rank is dead, not of the run or named
/// twice, the job has other stages or micro-batches in all than `start`, or shadows are broken
/// (`validate_shadows`). `dead` is ascending.
void validate(arrangement const& a, pipeline_job const& start, std::span<rank_id const> dead);

/// Returns whether one of its ranks is dead. `dead` is ascending.
[[nodiscard]] bool has_lost(arrangement const& a, std::span<rank_id const> dead);

/// Returns the ranks of the workers.
[[nodiscard]] worker_ranks workers_of(arrangement const& a);

/// Returns the stages whose states each rank of a run of so many has: the rank's own, and those of
/// its shadow copies. Ranks of `without` have none.
[[nodiscard]] held_stages stages_held(arrangement const& a, std::int32_t ranks,
                                      std::span<rank_id const> without = {});

/// Returns the first of so many stages that no rank holds, if there is one.
[[nodiscard]] std::optional<stage_id> stage_without_holder(held_stages const& held,
                                                           std::int32_t stages);

/// Returns the live ranks without a stage, ascending. `dead` is ascending.
[[nodiscard]] std::vector<rank_id> waiting_ranks(held_stages const& held,
                                                 std::span<rank_id const> dead);

/// Returns a change to these stages with these copies of states, before it is made: without its
/// iteration, what is done again and the time that it took. `dead` is ascending.
[[nodiscard]] rearrangement change_between(arrangement next, held_stages const& after,
                                           std::span<layer_copy const> copies,
                                           per_stage const& state, std::span<rank_id const> dead);

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/train/arrangement.ipp"
#endif
