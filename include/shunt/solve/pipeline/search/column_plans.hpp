#pragma once
/// Plans of blocks of ranks (column_blocks.hpp), each block by itself, and all joined into one.
///
/// Blocks of lower bounds come first. Ranks get the columns of their kind of which they have the
/// most. Where ranks or micro-batches differ, blocks are planned for the very ranks. The last
/// backward_weights of a rank run stage by stage: ranks of other blocks that begin an iteration
/// earlier have the low stages too, and wait no longer for them than for their own.
#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <utility>
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

  /// A rank's place in a column.
  struct role {
    std::int32_t first = 0, end = 0;
    std::size_t kind = 0;

    auto operator<=>(role const&) const = default;
  };
  struct candidate {
    ticks period = 0;
    std::vector<column_block> blocks{};
    std::vector<rank_id> members{};  // by role
  };

  /// Finds the kinds of live ranks.
  void find_kinds();
  /// Returns the job of a block, in which these ranks play.
  [[nodiscard]] pipeline_job job_of(column_block const& block,
                                    std::span<rank_id const> members) const;
  [[nodiscard]] block_plan const& plan_of(column_block const& block,
                                          std::span<rank_id const> members);
  /// Returns the ranks' places in blocks, block by block and column by column.
  [[nodiscard]] std::vector<role> roles_of(std::vector<column_block> const& blocks) const;
  /// Plans blocks. Without a plan the period is 0.
  [[nodiscard]] candidate planned(std::vector<column_block> blocks);
  /// Joins blocks into one plan, in which a stage is that of the job from one border to the next.
  [[nodiscard]] loss_plan joined(std::vector<column_block> const& blocks,
                                 std::vector<std::int32_t> const& borders,
                                 std::vector<rank_id> members);
  /// Returns the ranks for columns of stages, so that few bytes move.
  [[nodiscard]] std::vector<rank_id> assigned(std::vector<role> const& roles) const;

  loss_survivors const& from_;
  std::int64_t effort_;
  std::int64_t left_ = 0;  // for the blocks of a call of `best`
  std::int32_t candidates_;
  bool unlike_;                         // ranks or micro-batches differ
  std::vector<std::size_t> row_of_{};   // by rank: those of one number have the same costs
  std::vector<std::size_t> kind_of_{};  // by rank
  std::vector<rank_kind> kinds_{};      // of the live ranks, the most common one first
  std::map<std::pair<column_block, std::vector<std::size_t>>, block_plan> known_{};
};

}  // namespace shunt::detail

#ifndef SHUNT_COMPILED
#include "shunt/solve/pipeline/search/column_plans.ipp"
#endif
