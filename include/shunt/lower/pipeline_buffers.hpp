#pragma once
#include <cstdint>
#include <vector>

#include "shunt/core/config.hpp"
#include "shunt/core/id.hpp"
#include "shunt/core/units.hpp"
#include "shunt/problem/pipeline_job.hpp"
#include "shunt/problem/stage_costs.hpp"
#include "shunt/program/program.hpp"

namespace shunt {

/// Sizes of a stage's tensors, in bytes: one value for all stages, or one value per stage.
struct pipeline_tensors {
  /// Output of stage s for one micro-batch, sent to s + 1, and its gradient. Unused for the last.
  per_stage activation = 8;
  per_stage stash = 8;  ///< kept by a forward for the gradients of its micro-batch
  /// Sum of the parameters' gradients, elements of `gradient_type`.
  per_stage gradient = 8;
  per_stage state = 8;  ///< parameters and optimizer state; the kept copy has the same size
  /// Numbers of the user's beside the flag, such as losses: int64, not bytes. They are zeroed and
  /// summed as the flag is.
  per_stage sums = 0;
  /// Elements of gradients in memory and in messages. int64 is meant for fixed point: sums don't
  /// depend on their order, so results have the same bits under every plan. Sums of floating-point
  /// elements depend on the plan and on who is alive, not on the executor.
  element gradient_type = element::int64;

  bool operator==(pipeline_tensors const&) const = default;
};

/// The stages of each rank, ascending. Ranks that are dead or wait have none.
using held_stages = std::vector<std::vector<stage_id>>;

/// Buffer numbers of a rank. The first four of each stage it holds, stages ascending, are the same
/// for every plan of a job, so that persistent content survives re-planning. The others are sets of
/// five, one set per micro-batch in flight at a stage. A rank has as many sets as its plan needs at
/// once. A set serves all stages of the rank: its buffers have the largest size of each kind.
struct pipeline_buffers {
  /// Persistent. `chunk`: number of the stage among those of the rank.
  static constexpr buffer_id state(std::int32_t chunk = 0) { return 4 * chunk; }
  /// Persistent: the state before the last step.
  static constexpr buffer_id kept(std::int32_t chunk = 0) { return 1 + 4 * chunk; }
  /// Zero at the start of an iteration.
  static constexpr buffer_id gradient(std::int32_t chunk = 0) { return 2 + 4 * chunk; }
  /// int64, 0 at the start: the flag of this stage, its sums, and (no staggered step, first chunk)
  /// the flag of all stages. Above 0: a value overflowed or wasn't finite.
  static constexpr buffer_id flag(std::int32_t chunk = 0) { return 3 + 4 * chunk; }

  /// `held`: number of stages that the rank holds. `set`: number of the buffer set.
  static SHUNT_CONSTEXPR buffer_id input(std::int32_t set, std::int32_t held = 1);
  static SHUNT_CONSTEXPR buffer_id output(std::int32_t set, std::int32_t held = 1);
  static SHUNT_CONSTEXPR buffer_id stash(std::int32_t set, std::int32_t held = 1);
  static SHUNT_CONSTEXPR buffer_id output_gradient(std::int32_t set, std::int32_t held = 1);
  static SHUNT_CONSTEXPR buffer_id input_gradient(std::int32_t set, std::int32_t held = 1);
};

/// Regions of stage s on a rank that holds `held` stages. The first stage's input and the last
/// stage's output have no bytes: data and labels belong to (iteration, micro-batch) and are known
/// to the user's work.
struct stage_regions {
  pipeline_job const& job;
  pipeline_tensors const& tensors;
  stage_id stage;
  std::int32_t chunk = 0;
  std::int32_t held = 1;

  using at = pipeline_buffers;
  [[nodiscard]] SHUNT_CONSTEXPR region state() const;
  [[nodiscard]] SHUNT_CONSTEXPR region kept() const {
    return {at::kept(chunk), 0, tensors.state[stage]};
  }
  [[nodiscard]] SHUNT_CONSTEXPR region gradient() const;
  /// The flag and the sums.
  [[nodiscard]] SHUNT_CONSTEXPR region flag() const;
  [[nodiscard]] SHUNT_CONSTEXPR region flag_of_all() const;
  /// Result of a reduction out of place (lower/salvage.hpp), behind its operands: gradient and
  /// flag.
  [[nodiscard]] SHUNT_CONSTEXPR region reduced() const;
  [[nodiscard]] SHUNT_CONSTEXPR region reduced_flag() const;
  [[nodiscard]] SHUNT_CONSTEXPR region input(std::int32_t set) const;
  [[nodiscard]] SHUNT_CONSTEXPR region output(std::int32_t set) const;
  [[nodiscard]] SHUNT_CONSTEXPR region stash(std::int32_t set) const;
  [[nodiscard]] SHUNT_CONSTEXPR region output_gradient(std::int32_t set) const;
  [[nodiscard]] SHUNT_CONSTEXPR region input_gradient(std::int32_t set) const;

  [[nodiscard]] SHUNT_CONSTEXPR byte_count arriving() const;
  [[nodiscard]] SHUNT_CONSTEXPR byte_count leaving() const;
};

/// Returns the regions of every stage of a rank that holds these, ascending.
[[nodiscard]] SHUNT_CONSTEXPR std::vector<stage_regions> regions_of(
    pipeline_job const& job, pipeline_tensors const& tensors, std::vector<stage_id> const& held);
/// Returns the regions of every stage that a rank holds by the job, stages ascending.
[[nodiscard]] SHUNT_CONSTEXPR std::vector<stage_regions> stages_of(pipeline_job const& job,
                                                                   pipeline_tensors const& tensors,
                                                                   rank_id r);

/// Throws invalid_problem where a list has another length than the stages, a size is negative, or
/// the size of a gradient is no multiple of 8.
SHUNT_CONSTEXPR void validate(pipeline_job const& job, pipeline_tensors const& tensors);

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/lower/pipeline_buffers.ipp"
#endif
