#pragma once
/// Start and end of every operation of a pipeline schedule.
/// An operation starts as soon as its predecessor in the list has ended and its input has arrived,
/// an overlapped pair as soon as both operations may. A step starts when the last operation of its
/// stage has ended on all live ranks, or every operation if the step is not staggered.
/// Over many iterations a rank starts its next list when its own has ended. With a staggered step,
/// stage groups then drift apart until group c starts r_c after the earliest one in every
/// iteration. The distance of iterations settles at the least Theta for which starts r exist with
/// r_c + Theta >= end of group c, steps included.
/// Complexity: linear in the operations n; `steady_start` takes O(C n + C^3 log Theta) and C^2
/// memory for C stage groups.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <stdexcept>
#include <vector>

#include "shunt/core/id.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/core/units.hpp"
#include "shunt/measure/operation_graph.hpp"
#include "shunt/measure/stage_groups.hpp"
#include "shunt/plan/pipeline_schedule.hpp"
#include "shunt/problem/pipeline_job.hpp"

namespace shunt {

/// The ticks at which each stage group may start its first operation; empty: all at 0.
using stage_group_starts = std::vector<ticks>;

namespace detail {

inline constexpr ticks never = std::numeric_limits<ticks>::min() / 2;

/// Sets the ends of the nodes of a graph. Groups that start `never` take no part, nor do nodes that
/// depend on no participating node.
constexpr void run(pipeline_job const& job, pipeline_schedule const& schedule,
                   stage_groups const& in, operation_graph const& graph,
                   stage_group_starts const& start, std::vector<ticks>& end) {
  end.assign(graph.nodes.size(), 0);
  // when the last operation that a stage's step waits for has ended
  std::vector<ticks> ready(static_cast<std::size_t>(job.stages), never);
  for (std::size_t i = 0; i < graph.nodes.size(); ++i) {
    auto const& n = graph.nodes[i];
    operation const& o = schedule.order[n.rank][static_cast<std::size_t>(n.index)];
    std::size_t const reduced_with = schedule.staggered_step ? o.stage.index() : 0;
    ticks at = start.empty() ? 0 : start[static_cast<std::size_t>(in.of[n.rank])];
    if (n.before >= 0) at = std::max(at, end[static_cast<std::size_t>(n.before)]);
    if (n.producer >= 0) at = std::max(at, end[static_cast<std::size_t>(n.producer)] + n.delay);
    if (n.second_producer >= 0)
      at = std::max(at, end[static_cast<std::size_t>(n.second_producer)] + n.second_delay);
    if (n.is_step) at = std::max(at, ready[reduced_with]);
    end[i] = at < 0 ? never : at + n.duration;
    if (n.is_step) continue;
    ready[reduced_with] = std::max(ready[reduced_with], end[i]);
    if (!n.pair) continue;
    std::size_t const other =
        schedule.staggered_step
            ? schedule.order[n.rank][static_cast<std::size_t>(n.index) + 1].stage.index()
            : 0;
    ready[other] = std::max(ready[other], end[i]);
  }
}

/// Returns the largest end over the ranks of each stage group, steps included.
constexpr stage_group_starts stage_group_ends(stage_groups const& in, operation_graph const& graph,
                                              std::vector<ticks> const& end) {
  stage_group_starts latest(in.all.size(), never);
  for (std::size_t i = 0; i < graph.nodes.size(); ++i) {
    auto& e = latest[static_cast<std::size_t>(in.of[graph.nodes[i].rank])];
    e = std::max(e, end[i]);
  }
  return latest;
}

constexpr timetable table_of(pipeline_job const& job, pipeline_schedule const& schedule,
                             stage_groups const& in, operation_graph const& graph,
                             stage_group_starts const& start) {
  std::vector<ticks> end;
  run(job, schedule, in, graph, start, end);
  timetable table;
  table.times.resize(schedule.order.size());
  for (rank_id r : ids<rank_id>(job.ranks())) table.times[r].resize(schedule.order[r].size());
  for (std::size_t i = 0; i < graph.nodes.size(); ++i) {
    auto const& n = graph.nodes[i];
    for (std::int32_t part = 0; part <= static_cast<std::int32_t>(n.pair); ++part)
      table.times[n.rank][static_cast<std::size_t>(n.index + part)] = {end[i] - n.duration, end[i]};
  }
  return table;
}

/// Sets the starts that attain the period theta. path[c][d]: longest path from the start of c to
/// the end of d.
/// Returns false if theta is below the least period.
constexpr bool settles(std::vector<stage_group_starts> const& path, ticks theta,
                       stage_group_starts& start) {
  start = stage_group_starts(path.size(), 0);
  for (std::size_t round = 0; round <= path.size(); ++round) {
    bool moved = false;
    for (std::size_t d = 0; d < path.size(); ++d)
      for (std::size_t c = 0; c < path.size(); ++c) {
        if (path[c][d] < 0) continue;
        ticks const least = start[c] + path[c][d] - theta;
        if (least > start[d]) {
          start[d] = least;
          moved = true;
        }
      }
    if (!moved) return true;
  }
  return false;
}

/// Returns the least theta in [low, high] that settles, and sets the starts that attain it.
/// Requires that high settles.
constexpr ticks least_theta(std::vector<stage_group_starts> const& path, ticks low, ticks high,
                            stage_group_starts& start) {
  while (low < high) {
    ticks const middle = low + (high - low) / 2;
    if (settles(path, middle, start))
      high = middle;
    else
      low = middle + 1;
  }
  settles(path, high, start);
  return high;
}

constexpr stage_group_starts steady_start(pipeline_job const& job,
                                          pipeline_schedule const& schedule, stage_groups const& in,
                                          operation_graph const& graph) {
  std::vector<ticks> end;
  std::vector<stage_group_starts> path;
  ticks low = 0, high = 0;  // Theta lies in [low, high]
  for (std::size_t c = 0; c < in.all.size(); ++c) {
    stage_group_starts only(in.all.size(), never);
    only[c] = 0;
    run(job, schedule, in, graph, only, end);
    path.push_back(stage_group_ends(in, graph, end));
    low = std::max(low, path.back()[c]);
    for (ticks const e : path.back()) high = std::max(high, e);
  }
  stage_group_starts start;
  least_theta(path, low, high, start);
  return start;
}

constexpr operation_graph executable_graph(pipeline_job const& job,
                                           pipeline_schedule const& schedule) {
  auto graph = graph_of(job, schedule);
  if (!graph.executable())
    throw std::invalid_argument(
        "a schedule that can't be executed: its workers wait for each other");
  return graph;
}

}  // namespace detail

/// Returns the timetable of a single iteration in which stage group c of `stage_groups(job)` may
/// start at `start[c]`: what an executor does with one program.
/// Throws std::invalid_argument if the ranks' orders wait for each other.
[[nodiscard]] constexpr timetable times(pipeline_job const& job, pipeline_schedule const& schedule,
                                        stage_group_starts const& start = {}) {
  return detail::table_of(job, schedule, stage_groups(job), detail::executable_graph(job, schedule),
                          start);
}

/// Returns the starts of the stage groups in the steady state of many iterations, the earliest at
/// 0; all 0 if the step is not staggered. They attain the least period Theta, the largest cycle
/// mean of A[c][d], the longest path from the start of group c to the end of group d. This requires
/// the ranks of a group to end together, as they do if their steps are last in one order; otherwise
/// Theta is an upper bound. Theta is an integer, rounded up.
/// Throws std::invalid_argument if the ranks' orders wait for each other.
[[nodiscard]] constexpr stage_group_starts steady_start(pipeline_job const& job,
                                                        pipeline_schedule const& schedule) {
  stage_groups const in(job);
  if (!schedule.staggered_step) return stage_group_starts(in.all.size(), 0);
  return detail::steady_start(job, schedule, in, detail::executable_graph(job, schedule));
}

/// Returns the timetable of one iteration in the steady state.
/// Throws std::invalid_argument if the ranks' orders wait for each other.
[[nodiscard]] constexpr timetable steady_times(pipeline_job const& job,
                                               pipeline_schedule const& schedule) {
  stage_groups const in(job);
  auto const graph = detail::executable_graph(job, schedule);
  stage_group_starts start(in.all.size(), 0);
  if (schedule.staggered_step) start = detail::steady_start(job, schedule, in, graph);
  return detail::table_of(job, schedule, in, graph, start);
}

}  // namespace shunt
