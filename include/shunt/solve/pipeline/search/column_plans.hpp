#pragma once
/// Plans of blocks of ranks (column_blocks.hpp), each block by itself, and all joined into one.
///
/// Blocks of lower bounds come first. Ranks get the columns of which they have the most. The last
/// backward_weights of a rank run stage by stage: ranks of other blocks that begin an iteration
/// earlier have the low stages too, and wait no longer for them than for their own.
#include <cstdint>
#include <map>
#include <vector>

#include "shunt/core/id.hpp"
#include "shunt/core/units.hpp"
#include "shunt/plan/loss_plan.hpp"
#include "shunt/plan/pipeline_schedule.hpp"
#include "shunt/problem/pipeline_job.hpp"
#include "shunt/solve/pipeline/search/column_blocks.hpp"
#include "shunt/solve/pipeline/search/loss_survivors.hpp"

namespace shunt::detail {

/// Plans blocks; the same block once. Keeps a reference to the survivors.
class column_plans {
 public:
  column_plans(loss_survivors const& from, std::int64_t effort, std::int32_t candidates);

  /// Returns the plan with the shortest period that was found, with `chains` of blocks that are
  /// pipelines, or why there is none.
  [[nodiscard]] loss_draft best(bool chains);

 private:
  struct block_plan {
    ticks period = 0;  // 0: none
    pipeline_schedule schedule{};
  };

  [[nodiscard]] pipeline_job job_of(column_block const& block) const;
  [[nodiscard]] block_plan const& plan_of(column_block const& block);
  /// Joins blocks into one plan, in which a stage is that of the job from one border to the next.
  /// Its members are the live ranks in order, or with `assign` those that need the fewest bytes.
  [[nodiscard]] loss_plan joined(std::vector<column_block> const& blocks,
                                 std::vector<std::int32_t> const& borders, bool assign);
  /// Returns the ranks for columns of stages, so that few bytes move.
  [[nodiscard]] std::vector<rank_id> assigned(std::vector<block_column> const& roles) const;

  loss_survivors const& from_;
  std::int64_t effort_;
  std::int64_t left_ = 0;  // for the blocks of a call of `best`
  std::int32_t candidates_;
  std::map<column_block, block_plan> known_{};
};

}  // namespace shunt::detail

#ifndef SHUNT_COMPILED
#include "shunt/solve/pipeline/search/column_plans.ipp"
#endif
