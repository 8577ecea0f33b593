#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "shunt/core/id.hpp"
#include "shunt/execute/host/stopwatch.hpp"
#include "shunt/lower/pipeline_buffers.hpp"
#include "shunt/lower/stage_copies.hpp"
#include "shunt/plan/reconfiguration.hpp"
#include "shunt/problem/pipeline_job.hpp"
#include "shunt/problem/stage_costs.hpp"
#include "shunt/program/program.hpp"
#include "shunt/train/arrangement.hpp"
#include "shunt/train/planned_iteration.hpp"

namespace shunt::detail {

/// What ranks do once the states of their stages are there.
struct next_part {
  rearrangement change{};
  planned_iteration plan{};
  held_stages before{}, after{};
  std::vector<layer_copy> copies{};
  stopwatch since{};

  /// A change from one arrangement to the next, without its plan. `state`: bytes of each stage.
  /// Throws invalid_problem where the next one breaks a rule.
  next_part(arrangement const& now, arrangement next, pipeline_job const& start,
            std::span<rank_id const> dead, per_stage const& state)
      : before(stages_held(now, start.ranks(), dead)) {
    validate(next, start, dead);
    after = stages_held(next, start.ranks());
    copies = copies_between(before, after, start.transfer.ranks_per_node);
    change = change_between(std::move(next), after, copies, state, dead);
  }

  /// Returns the program that moves the states.
  [[nodiscard]] program moving(per_stage const& state) const {
    return stage_copies{}(before, after, copies, state);
  }
};

}  // namespace shunt::detail
