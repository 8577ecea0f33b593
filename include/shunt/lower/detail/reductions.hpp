#pragma once
#include <cstdint>
#include <vector>

#include "shunt/core/config.hpp"
#include "shunt/core/id.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/core/operation.hpp"
#include "shunt/lower/pipeline_buffers.hpp"
#include "shunt/plan/surviving_gradients.hpp"
#include "shunt/problem/pipeline_job.hpp"
#include "shunt/program/builder.hpp"
#include "shunt/program/program.hpp"

namespace shunt::detail {

/// A stage of the rank being lowered. Numbers are instructions, or -1.
struct held_stage {
  stage_regions of;
  std::int32_t last = -1;         ///< its latest operation on lane `compute`
  std::int32_t last_beside = -1;  ///< its latest operation on lane `second_of_pair`
  bool reduced = false;
  std::int32_t reduction = -1;  ///< the instruction that its step waits for
};

/// The latest computing instructions of the rank being lowered, or -1.
struct compute_tail {
  std::int32_t last = -1;  ///< on lane `compute`
  /// On lane `second_of_pair`, where no instruction of lane `compute` waits for it yet.
  std::int32_t beside = -1;
};

/// Lowers the optimizer's steps and their surroundings: zeroed sums, reductions over the ranks that
/// hold a stage, the kept copy of the state, the step.
class gradient_reductions {
 public:
  /// `finished`: by stage, its place in the order in which stages finish (`pipeline_starts`).
  /// `kept`: the initial sums, where gradients are reduced out of place; otherwise null. `type`:
  /// the elements of gradients. `shadows`: by rank, stages that it holds besides, or null.
  SHUNT_CONSTEXPR gradient_reductions(pipeline_job const& job, bool staggered_step,
                                      std::vector<std::int32_t> const& finished,
                                      surviving_gradients const* kept, held_stages const* shadows,
                                      element type, program_builder& builder);

  /// The live ranks, ascending.
  [[nodiscard]] constexpr std::vector<rank_id> const& live() const { return live_; }

  /// Declares gradient and flag of a stage.
  SHUNT_CONSTEXPR void declare(rank_id r, stage_regions const& of);

  /// Starts a rank's list: zeroes sum and flag of every stage, unless they begin with
  /// surviving terms.
  SHUNT_CONSTEXPR void open(rank_id r, std::vector<held_stage>& held, compute_tail& tail);

  /// Places the reduction of a stage here, before its step.
  SHUNT_CONSTEXPR void reduce_early(rank_id r, held_stage& h, compute_tail const& tail);

  /// Places a step where it stands in the list, after the reductions that are due. Due are those
  /// of all stages that finish no later than this one on any rank, or of all stages where the step
  /// isn't staggered. Before the first step of the list the state of all stages is kept, so that
  /// the kept copies are of one iteration whenever the rank stops. They, too, wait for the
  /// reductions: a peer that waits for these may still have to go back to the state kept so far.
  SHUNT_CONSTEXPR void step(rank_id r, std::vector<held_stage>& held, held_stage& own,
                            operation const& step, compute_tail& tail);

 private:
  static constexpr std::int32_t none = -1;

  [[nodiscard]] static SHUNT_CONSTEXPR region both_flags(stage_regions const& of);
  /// Where a stage's gradient and flag are reduced, and the step reads them.
  [[nodiscard]] SHUNT_CONSTEXPR region summed_gradient(stage_regions const& of) const;
  [[nodiscard]] SHUNT_CONSTEXPR region summed_flag(stage_regions const& of) const;

  /// Returns the last instruction, or `last` where there is none.
  SHUNT_CONSTEXPR std::int32_t open_gradient(rank_id r, stage_regions const& of, std::int32_t last);

  /// Reduces a stage's gradient and flag.
  /// Returns the instruction that its step waits for, or -1.
  SHUNT_CONSTEXPR std::int32_t reduce(rank_id r, held_stage const& h, compute_tail const& tail);

  /// Reduces a copy of the flag over all live ranks, which makes all of them wait for each other.
  SHUNT_CONSTEXPR void reduce_flag_of_all(rank_id r, stage_regions const& of,
                                          compute_tail const& tail);

  [[nodiscard]] SHUNT_CONSTEXPR group_id group(group_id& known,
                                               std::vector<rank_id> const& members);

  bool staggered_step_;
  std::vector<std::int32_t> const& finished_;
  surviving_gradients const* kept_;
  element gradient_type_;
  program_builder& builder_;
  indexed<stage_id, std::vector<rank_id>> holders_{};  // live, ascending
  std::vector<rank_id> live_{};
  indexed<stage_id, group_id> group_of_stage_{};
  group_id all_group_ = none;
  std::int32_t all_ = none;  // of the rank being lowered: the reduction over all ranks
  bool stepping_ = false;    // it has stepped a stage
};

}  // namespace shunt::detail

#ifndef SHUNT_COMPILED
#include "shunt/lower/detail/reductions.ipp"
#endif
