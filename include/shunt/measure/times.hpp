#pragma once
/// Start and end of every operation of a pipeline schedule.
/// An operation starts as soon as its predecessor in the list has ended and its input has arrived,
/// an overlapped pair as soon as both operations may. A step starts when the last operation of its
/// stage has ended on all live ranks, or every operation if the step is not staggered.
/// Over many iterations a rank starts its next list when its own has ended. With a staggered step,
/// stage groups then drift apart until group c starts r_c after the earliest one in every
/// iteration. The distance of iterations settles at the least Theta for which starts r exist with
/// r_c + Theta >= end of group c, steps included.
/// Complexity: linear in the operations n; for C stage groups `steady_start` takes O(k n) with k a
/// few where the groups hardly wait for each other, at worst O(C n + C^3 log Theta) and C^2 memory.
#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

#include "shunt/core/config.hpp"
#include "shunt/core/units.hpp"
#include "shunt/measure/operation_graph.hpp"
#include "shunt/measure/stage_groups.hpp"
#include "shunt/plan/pipeline_schedule.hpp"
#include "shunt/problem/pipeline_job.hpp"

namespace shunt {

/// The ticks at which each stage group may start its first operation; empty: all at 0.
using stage_group_starts = std::vector<ticks>;

namespace detail {

inline constexpr ticks no_start = std::numeric_limits<ticks>::min() / 2;

/// The ends of the nodes of a graph from given starts of its groups. Groups that start at
/// `no_start` take no part, nor do nodes that depend on no participating node.
struct graph_times {
  std::vector<ticks> end{};  ///< by node
  /// By stage, or at 0 of all stages where the step is not staggered: the latest node that a step
  /// waits for, and its end.
  std::vector<std::int32_t> last{};
  std::vector<ticks> ready{};

  SHUNT_CONSTEXPR void run(pipeline_job const& job, pipeline_schedule const& schedule,
                           stage_groups const& in, operation_graph const& graph,
                           stage_group_starts const& start);
};

/// Throws std::invalid_argument where the schedule is not one of the job, nor a part of one.
SHUNT_CONSTEXPR void require_match(pipeline_job const& job, pipeline_schedule const& schedule);
/// Throws std::invalid_argument where the timetable is not one of the schedule.
SHUNT_CONSTEXPR void require_match(pipeline_schedule const& schedule, timetable const& table);

/// Returns the graph of a schedule.
/// Throws std::invalid_argument where the schedule is not one of the job, nor a part of one, or its
/// workers wait for each other.
SHUNT_CONSTEXPR operation_graph executable_graph(pipeline_job const& job,
                                                 pipeline_schedule const& schedule);

SHUNT_CONSTEXPR timetable table_of(pipeline_schedule const& schedule, operation_graph const& graph,
                                   std::vector<ticks> const& end);

/// Returns the period of a schedule that can be executed, from the ends of its nodes.
SHUNT_CONSTEXPR ticks period_of(pipeline_job const& job, pipeline_schedule const& schedule,
                                stage_groups const& in, operation_graph const& graph,
                                std::vector<ticks> const& end);

/// Sets the starts that attain the period theta. path[c][d]: longest path from the start of c to
/// the end of d.
/// Returns false if theta is below the least period.
SHUNT_CONSTEXPR bool settles(std::vector<stage_group_starts> const& path, ticks theta,
                             stage_group_starts& start);

/// Returns the least theta in [low, high] that settles, and sets the starts that attain it.
/// Requires that high settles.
SHUNT_CONSTEXPR ticks least_theta(std::vector<stage_group_starts> const& path, ticks low,
                                  ticks high, stage_group_starts& start);

/// The steady state of a graph: starts, and times from them.
///
/// A run of the graph from starts r gives max_c (r_c + A[c][d]) for all groups d at once: value
/// iteration. Theta rises to the mean of a cycle of critical paths wherever one is above it, so it
/// is never above the least that settles; it is this least one where the starts no longer move.
/// Where that takes more than C runs, the matrix A is computed, in C runs more.
class steady_state {
 public:
  SHUNT_CONSTEXPR steady_state(pipeline_job const& job, pipeline_schedule const& schedule,
                               stage_groups const& in, operation_graph const& graph);

  stage_group_starts start{};
  graph_times times{};
  std::int64_t passes = 0;  ///< over the nodes

 private:
  /// Runs the graph from `start`.
  SHUNT_CONSTEXPR void run();
  /// Returns the group from whose start the critical path to the end of group d leads.
  [[nodiscard]] SHUNT_CONSTEXPR std::size_t origin_of(std::size_t d) const;
  /// Returns the largest mean of a cycle of critical paths, rounded up.
  [[nodiscard]] SHUNT_CONSTEXPR ticks cycle_mean() const;
  /// Sets `start` from the matrix A.
  SHUNT_CONSTEXPR void start_from_paths();

  pipeline_job const& job_;
  pipeline_schedule const& schedule_;
  stage_groups const& in_;
  operation_graph const& graph_;
  std::vector<std::int32_t> latest_;  // by group: the node that ends last
};

}  // namespace detail

/// Returns the timetable of a single iteration in which stage group c of `stage_groups(job)` may
/// start at `start[c]`: what an executor does with one program.
/// Throws std::invalid_argument if the schedule is not one of the job, nor a part of one
/// (plan/mismatch.hpp), or the ranks' orders wait for each other.
[[nodiscard]] SHUNT_CONSTEXPR timetable times(pipeline_job const& job,
                                              pipeline_schedule const& schedule,
                                              stage_group_starts const& start = {});

/// Returns the starts of the stage groups in the steady state of many iterations, the earliest at
/// 0; all 0 if the step is not staggered. They attain the least period Theta, the largest cycle
/// mean of A[c][d], the longest path from the start of group c to the end of group d. This requires
/// the ranks of a group to end together, as they do if their steps are last in one order; otherwise
/// Theta is an upper bound. Theta is an integer, rounded up.
/// Throws std::invalid_argument if the schedule is not one of the job, nor a part of one
/// (plan/mismatch.hpp), or the ranks' orders wait for each other.
[[nodiscard]] SHUNT_CONSTEXPR stage_group_starts steady_start(pipeline_job const& job,
                                                              pipeline_schedule const& schedule);

/// Returns the timetable of one iteration in the steady state.
/// Throws std::invalid_argument if the schedule is not one of the job, nor a part of one
/// (plan/mismatch.hpp), or the ranks' orders wait for each other.
[[nodiscard]] SHUNT_CONSTEXPR timetable steady_times(pipeline_job const& job,
                                                     pipeline_schedule const& schedule);

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/measure/times.ipp"
#endif
