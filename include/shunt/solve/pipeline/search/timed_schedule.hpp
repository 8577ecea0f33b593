#pragma once
/// The orders of a plan, changed and timed again and again.
///
/// One run gives the ends of all operations; where the step is staggered, one end per start of a
/// stage group. These are the longest paths of measure/times.hpp; their largest cycle mean is the
/// period.
/// Complexity: linear in the operations, times the stage groups. Allocates no memory after the
/// first run.
#include <cstddef>
#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

#include "shunt/core/id.hpp"
#include "shunt/core/operation.hpp"
#include "shunt/core/units.hpp"
#include "shunt/measure/stage_groups.hpp"
#include "shunt/measure/times.hpp"
#include "shunt/plan/pipeline_schedule.hpp"
#include "shunt/problem/pipeline_job.hpp"

namespace shunt::detail {

/// The lists of a plan with their times. An item is an operation or an overlapped pair. Keeps
/// references to the job and the plan.
class timed_schedule {
 public:
  static constexpr std::int32_t none = -1;
  struct item {
    operation first{}, second{};
    bool pair = false, step = false;
    std::int32_t rank = 0;
    std::int32_t producer[2] = {none, none};
    ticks duration = 0;
  };
  using score = std::pair<ticks, ticks>;
  using lists = std::vector<std::vector<std::int32_t>>;

  timed_schedule(pipeline_job const& job, pipeline_schedule const& plan);

  lists order{};
  std::vector<item> items{};

  /// Returns the number of operations that the last run timed, each once per start.
  [[nodiscard]] std::int64_t work() const;
  [[nodiscard]] std::int32_t stage_group_of(std::int32_t rank) const;
  [[nodiscard]] std::int32_t forward(operation const& o) const;
  [[nodiscard]] std::int32_t gradient(operation const& o) const;
  [[nodiscard]] std::int32_t weight(operation const& o) const { return weight_[cell(o, o.stage)]; }

  /// Makes an item one of another rank, in its lists not yet.
  void place_on(std::int32_t rank, item& x) const;

  /// Returns whether x can never follow y in one list.
  [[nodiscard]] bool must_precede(item const& x, item const& y) const;

  /// Returns whether the list of a rank keeps its cap.
  [[nodiscard]] bool keeps_cap(std::int32_t rank) const;

  /// Times all items for each start of a stage group. Returns false where ranks wait for each
  /// other.
  bool run() { return run(plan_.staggered_step ? in_.all.size() : 1); }
  /// Times all items at `starts` alone. `value_at_starts` is then at or above the value.
  bool run_at_starts() { return run(1); }

  /// Returns the score of the last run: the period (makespan where the step is not staggered), then
  /// the sum over ranks of the time from the start of the stage group to the end. Where the period
  /// exceeds `worst`, the result may be any value above `worst` (early exit).
  [[nodiscard]] score value(ticks worst = std::numeric_limits<ticks>::max());
  /// Returns the score of the last run at the current `starts`.
  [[nodiscard]] score value_at_starts();
  stage_group_starts starts{};  ///< starts of the stage groups, set by `value`
  /// Returns the number of starts that a full run times.
  [[nodiscard]] std::size_t lanes() const { return plan_.staggered_step ? in_.all.size() : 1; }

  /// Returns the end of an item at the current `starts`.
  [[nodiscard]] ticks end_of(std::int32_t i) const;
  /// Returns when the result of an item arrives at a rank.
  [[nodiscard]] ticks arrival(std::int32_t producer, std::int32_t rank) const;

  /// Returns the current orders as a schedule.
  [[nodiscard]] pipeline_schedule plan() const;

 private:
  template <class Integer>
  [[nodiscard]] static std::size_t at(Integer i) {
    return static_cast<std::size_t>(i);
  }
  static int place(op_kind k);

  [[nodiscard]] std::size_t cell(operation const& o, stage_id s) const;
  void enter(operation const& o);
  [[nodiscard]] std::int32_t producer_of(operation const& o) const;

  bool run(std::size_t lanes);

  /// Computes the ends of one item from its producers and the item before it.
  void time(item const& x, std::int32_t own, std::int32_t before);

  /// Counts an operation of a stage as done. After the last one its steps can start.
  void reduce(stage_id s, std::int32_t own);

  /// Computes the latest end of each stage group for each start, and the sum of the times from the
  /// start of their stage group to the end over all ranks.
  void find_stage_group_ends();

  pipeline_job const& job_;
  pipeline_schedule const& plan_;
  stage_groups in_;
  std::size_t lanes_ = 1;
  bool uneven_;
  ticks sum_ = 0;
  std::vector<std::int32_t> forward_{}, gradient_{}, weight_{};  // items by cell
  std::vector<ticks> ends_{};  // [item * lanes + starting stage group]
  std::vector<char> done_{};
  std::vector<std::int32_t> waiter_{}, next_waiter_{}, runnable_{};
  std::vector<std::size_t> next_{};
  std::vector<std::int64_t> left_{};
  std::vector<ticks> ready_{};
  std::vector<std::vector<std::int32_t>> before_step_{};
  std::vector<stage_group_starts> path_{};
};

}  // namespace shunt::detail

#ifndef SHUNT_COMPILED
#include "shunt/solve/pipeline/search/timed_schedule.ipp"
#endif
