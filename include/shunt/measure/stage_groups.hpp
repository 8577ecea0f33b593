#pragma once
#include <cstdint>
#include <vector>

#include "shunt/core/config.hpp"
#include "shunt/core/id.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/core/units.hpp"
#include "shunt/plan/pipeline_schedule.hpp"
#include "shunt/problem/pipeline_job.hpp"

namespace shunt {

/// A stage group: ranks that hold the same stages. They reduce their gradients with each other and
/// so end an iteration together. Linear layout: one group per stage. Looped layouts and waves: the
/// ranks at one place of their pipelines. Bidirectional layout: the ranks at two places equally far
/// from either end.
struct stage_group {
  std::vector<stage_id> stages{};  ///< ascending
  std::vector<rank_id> live{};     ///< ascending, may be empty
  bool operator==(stage_group const&) const = default;
};

/// The stage groups of a job in the order of their lowest ranks, and the group of every rank, dead
/// ranks included.
struct stage_groups {
  std::vector<stage_group> all{};
  indexed<rank_id, std::int32_t> of{};

  SHUNT_CONSTEXPR explicit stage_groups(pipeline_job const& job);
};

/// Returns for each stage group the longest time that one of its live ranks spends in its steps, in
/// ticks.
[[nodiscard]] SHUNT_CONSTEXPR std::vector<ticks> longest_steps(pipeline_job const& job,
                                                               stage_groups const& in);

/// Appends the steps of its stages to the list of every live rank.
SHUNT_CONSTEXPR void append_steps(stage_groups const& in, pipeline_schedule& plan);

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/measure/stage_groups.ipp"
#endif
