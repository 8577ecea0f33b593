#pragma once
#include <cstdint>

#include "shunt/core/config.hpp"
#include "shunt/core/units.hpp"
#include "shunt/problem/pipeline_job.hpp"
#include "shunt/problem/stage_costs.hpp"

namespace shunt {

/// What it costs to go on under another plan.
struct switch_costs {
  ticks every = 0;   ///< without progress under every plan: lost work, agreement
  ticks moving = 0;  ///< besides, where a state moves
  /// bytes a tick that a rank sends or receives within its node; 0: such copies take no time
  double within_node = 0;
  double between_nodes = 0;  ///< the same between nodes

  constexpr bool operator==(switch_costs const&) const = default;
};

/// A running job with dead workers, which may go on under another plan: a stage of the job is a
/// layer of the model, or a run of layers that stay together. The layout says which rank has the
/// state of which stages. Spare ranks are alive, have none, and are numbered after those of the
/// job.
struct worker_losses {
  pipeline_job job{};
  std::int32_t spares = 0;
  per_stage state = 0;         ///< bytes that move with a stage
  byte_count state_limit = 0;  ///< the most that a rank holds of these; 0: no limit
  switch_costs change{};
  ticks until_next = 0;  ///< expected from the failure to the next; 0: the period alone counts

  bool operator==(worker_losses const&) const = default;
};

/// Throws invalid_problem, which names the field, its place and value, where the job is broken, its
/// links are a matrix and there are spares, the bytes are neither one nor one per stage, or a
/// number is negative.
void validate(worker_losses const& losses);

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/problem/worker_losses.ipp"
#endif
