#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "shunt/core/config.hpp"
#include "shunt/core/id.hpp"
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
/// state of which stages. Spare ranks are alive, have none, are not slow, and are numbered after
/// those of the job.
struct worker_losses {
  pipeline_job job{};
  std::int32_t spares = 0;
  per_stage state = 0;         ///< bytes that move with a stage
  byte_count state_limit = 0;  ///< the most that a rank holds of these; 0: no limit
  switch_costs change{};
  ticks until_next = 0;  ///< expected from the failure to the next; 0: the period alone counts
  /// of a rank that is not slow, by stage; nothing: those of each stage's fastest worker
  std::optional<stage_costs> normal{};

  bool operator==(worker_losses const&) const = default;
};

/// Throws invalid_problem, which names the field, its place and value, where the job is broken, its
/// links are a matrix and there are spares, the bytes or a list of normal costs are neither one nor
/// one per stage, a number is negative, a normal forward or backward_input is below 1, or the times
/// of one iteration, each micro-batch on the slowest rank, exceed 61 bits in sum.
void validate(worker_losses const& losses);

/// Ticks of a stage's operations on a rank, for one unit of length.
struct rank_ticks {
  ticks forward = 0, backward_input = 0, backward_weight = 0, step = 0;

  [[nodiscard]] constexpr ticks microbatch() const {
    return forward + backward_input + backward_weight;
  }
  constexpr auto operator<=>(rank_ticks const&) const = default;
};

/// What every stage costs on every rank, also where the rank has not been. A rank's own stages cost
/// what the job says. In each list another stage costs its normal ticks times the rank's pace: the
/// sum over its own stages in this list over that of their normal ticks. Rounded to the nearest
/// tick, halves up.
/// Complexity: O(D S), and O(ranks x S) where a list has one value per worker.
class rank_costs {
 public:
  /// Requires a valid job, normal costs of its stages.
  explicit rank_costs(worker_losses const& losses);

  /// Returns the ticks on a rank of the job, dead or alive, or on a spare.
  [[nodiscard]] rank_ticks const& on(rank_id r, stage_id s) const {
    return table_[at(r) + s.index()];
  }
  /// Returns the ticks on a rank that is not slow.
  [[nodiscard]] rank_ticks const& normal(stage_id s) const { return table_[s.index()]; }
  /// Returns whether ranks may have different costs.
  [[nodiscard]] bool by_rank() const { return table_.size() > stages_; }

 private:
  // Row 0 is normal.
  [[nodiscard]] std::size_t at(rank_id r) const {
    auto const row = (r.index() + 1) * stages_;
    return row < table_.size() ? row : 0;
  }

  std::size_t stages_;
  std::vector<rank_ticks> table_{};  // [row * stages + s]
};

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/problem/worker_losses.ipp"
#endif
