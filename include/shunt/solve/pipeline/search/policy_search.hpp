#pragma once
/// Orders a pipeline job under a given routing: runs the list scheduler under many policies.
///
///   1. one policy for all stages: order of kinds, forwards in flight, order of re-routed
///   micro-batches and patience;
///   2. with a staggered step, repeated runs with later starts for the stages with too long a span;
///   3. without a cap, the best of these backwards and forwards (forward_backward.hpp);
///   4. hill climbing: one policy of one stage changes at a time.
/// Stops at the bound, or when `effort` operations have been placed. Ties go to the earlier
/// candidate.
/// Complexity: O(effort log n), at least one run; a run takes a few microseconds.
/// Reference: SlipStream, arXiv 2405.14009, plans with a MILP instead.
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <utility>
#include <vector>

#include "shunt/core/units.hpp"
#include "shunt/plan/pipeline_schedule.hpp"
#include "shunt/problem/pipeline_job.hpp"
#include "shunt/solve/pipeline/search/forward_backward.hpp"
#include "shunt/solve/pipeline/search/list_schedule.hpp"
#include "shunt/solve/pipeline/search/routes.hpp"

namespace shunt::detail {

/// One search over the policies of a job. Keeps a reference to the job.
class policy_search {
 public:
  /// The minimised value: the period as given by the times of the run, then the sum of all spans.
  using score = std::pair<ticks, ticks>;
  /// The period where no run was completed.
  static constexpr ticks nothing = std::numeric_limits<ticks>::max();

  /// `bound`: no period is below.
  /// Requires a live rank at every stage.
  policy_search(pipeline_job const& job, bool split, bool stagger, ticks bound, std::int64_t effort,
                routing rule);

  /// Runs the steps above until the bound or the end of the effort.
  void search();
  /// Runs the best order backwards once where the effort didn't reach step 3.
  void justify();
  /// Returns the best period, or `nothing`.
  [[nodiscard]] ticks best() const { return best_.first; }
  /// Returns whether `best` is known to be the period of `schedule`, which else may be smaller.
  [[nodiscard]] bool exact() const;
  /// Returns the effort that is left.
  [[nodiscard]] std::int64_t left() const { return left_; }
  /// Returns the best schedule.
  /// Requires that `best` is not `nothing`, and a single call.
  [[nodiscard]] pipeline_schedule schedule();

 private:
  using candidate = std::pair<score, stage_policies>;

  [[nodiscard]] bool finished() const { return best_.first <= bound_ || left_ <= 0; }

  [[nodiscard]] score score_of(std::vector<interval> const& spans) const;

  /// Runs the policies and keeps them where they are the best so far.
  score run(stage_policies const& policies);

  /// Returns the `most` best candidates, best first.
  static std::vector<candidate> best_of(std::vector<candidate> const& all, std::size_t most);

  /// Step 1.
  void try_seeds();

  /// Step 2: later starts for stages with too long a span, until there is no gain.
  void delay_starts(stage_policies policies);

  /// Keeps the orders of a pass where they are the best so far.
  void keep(forward_backward const& passes);

  /// Returns the latest ends that the bound allows from these starts, or the latest starts that it
  /// allows before these ends.
  [[nodiscard]] std::vector<ticks> limits(std::vector<interval> const& spans, bool backwards) const;

  /// Step 3: backward passes from the latest ends that the bound allows and forward passes from the
  /// latest starts, in turn.
  void apply_forward_backward(stage_policies const& policies);

  /// Step 4: changes one policy of one stage at a time and keeps improvements.
  void climb(stage_policies current);

  pipeline_job const& job_;
  list_scheduler scheduler_;
  bool stagger_, moved_;  // moved_: some micro-batches may run on other ranks than their own
  ticks bound_ = 0;
  std::int64_t left_;
  std::vector<ticks> steps_{};  // by stage group
  ticks step_ = 0;              // the longest
  std::vector<candidate> seeds_{};
  score best_{nothing, 0};
  stage_policies best_policies_{}, last_{};  // of the best run and of the last one
  bool completed_ = false;                   // at least one run was completed
  bool justified_ = false;                   // step 3 was reached
  // set where it is better than the run of the best policies
  std::optional<pipeline_schedule> improved_{};
};

}  // namespace shunt::detail

#ifndef SHUNT_COMPILED
#include "shunt/solve/pipeline/search/policy_search.ipp"
#endif
