#pragma once
/// When does everything in a pipeline schedule start and end?
///
/// An operation starts as soon as its predecessor in the list has ended and its input is there. A step starts when the last operation
/// of all live workers of its stage has ended, or of all live workers at all where the step isn't staggered.
///
/// In a run of many iterations a worker starts its next list as soon as it has stepped. With a staggered step the stages therefore
/// drift apart: stage s starts `steady_start[s]` after the earliest one, in every iteration, and the distance of iterations settles at the
/// least Theta for which starts r exist with   r_s + Theta >= (end of stage s when stages start at r) + step_s   for every stage:
/// the largest cycle mean of A[s][t] + step_t, where A[s][t] is the longest path from the start of stage s to the end of stage t.
/// Linear in the number of operations n; `steady_start` takes one such pass for each of the S stages and then bisects: O(S n + S^3 log
/// Theta) and S^2 memory. Integers: Theta is rounded up.
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
#include "shunt/plan/pipeline_schedule.hpp"
#include "shunt/problem/pipeline_job.hpp"

namespace shunt {

/// When each stage may start its first operation, in ticks; empty: all at 0.
using stage_starts = indexed<stage_id, ticks>;

namespace detail {

inline constexpr ticks never = std::numeric_limits<ticks>::min() / 2;

/// Ends of the nodes of a graph; stages that start `never` take no part, nor does what depends on no other.
constexpr void run(pipeline_job const& job, operation_graph const& graph, stage_starts const& start, std::vector<ticks>& end) {
  end.assign(graph.nodes.size(), 0);
  for (std::size_t i = 0; i < graph.nodes.size(); ++i) {
    auto const& n = graph.nodes[i];
    ticks at = start.empty() ? 0 : start[job.worker_of(n.rank).stage];
    if (n.before >= 0) at = std::max(at, end[static_cast<std::size_t>(n.before)]);
    if (n.producer >= 0) at = std::max(at, end[static_cast<std::size_t>(n.producer)] + n.delay);
    end[i] = at < 0 ? never : at + n.duration;
  }
}

/// The largest end over the workers of each stage.
constexpr stage_starts stage_ends(pipeline_job const& job, operation_graph const& graph, std::vector<ticks> const& end) {
  stage_starts latest(static_cast<std::size_t>(job.stages), never);
  for (std::size_t i = 0; i < graph.nodes.size(); ++i) {
    auto& e = latest[job.worker_of(graph.nodes[i].rank).stage];
    e = std::max(e, end[i]);
  }
  return latest;
}

constexpr timetable table_of(pipeline_job const& job, pipeline_schedule const& schedule, operation_graph const& graph,
                             stage_starts const& start) {
  std::vector<ticks> end;
  run(job, graph, start, end);
  timetable table;
  table.times.resize(schedule.order.size());
  for (rank_id r : ids<rank_id>(job.ranks())) table.times[r].resize(schedule.order[r].size());
  for (std::size_t i = 0; i < graph.nodes.size(); ++i) {
    auto const& n = graph.nodes[i];
    table.times[n.rank][static_cast<std::size_t>(n.index)] = {end[i] - n.duration, end[i]};
  }
  auto ends = stage_ends(job, graph, end);
  ticks const last = ends.empty() ? 0 : *std::max_element(ends.begin(), ends.end());
  for (rank_id r : ids<rank_id>(job.ranks()))
    for (std::size_t i = 0; i < schedule.order[r].size(); ++i) {
      operation const& o = schedule.order[r][i];
      if (o.kind != op_kind::step) continue;
      ticks const ready = std::max<ticks>(0, schedule.staggered_step ? ends[o.stage] : last);
      table.times[r][i] = {ready, ready + cost_of(job, o)};
    }
  return table;
}

/// The starts that attain the least Theta, or nothing where Theta is less than that.
constexpr bool settles(std::vector<stage_starts> const& path, pipeline_job const& job, ticks theta, stage_starts& start) {
  auto const stages = static_cast<std::size_t>(job.stages);
  start = stage_starts(stages, 0);
  for (std::size_t round = 0; round <= stages; ++round) {
    bool moved = false;
    for (stage_id t : ids<stage_id>(job.stages))
      for (stage_id s : ids<stage_id>(job.stages)) {
        if (path[s.index()][t] < 0) continue;
        ticks const least = start[s] + path[s.index()][t] + job.costs.step[t] - theta;
        if (least > start[t]) {
          start[t] = least;
          moved = true;
        }
      }
    if (!moved) return true;
  }
  return false;
}

constexpr stage_starts steady_start(pipeline_job const& job, operation_graph const& graph) {
  auto const stages = static_cast<std::size_t>(job.stages);
  std::vector<ticks> end;
  std::vector<stage_starts> path;
  ticks low = 0, high = 0;  // Theta lies in [low, high]
  for (stage_id s : ids<stage_id>(job.stages)) {
    stage_starts only(stages, never);
    only[s] = 0;
    run(job, graph, only, end);
    path.push_back(stage_ends(job, graph, end));
    low = std::max(low, path.back()[s] + job.costs.step[s]);
    for (stage_id t : ids<stage_id>(job.stages)) high = std::max(high, path.back()[t] + job.costs.step[t]);
  }
  stage_starts start;
  while (low < high) {
    ticks const middle = low + (high - low) / 2;
    if (settles(path, job, middle, start))
      high = middle;
    else
      low = middle + 1;
  }
  settles(path, job, high, start);
  return start;
}

constexpr operation_graph executable_graph(pipeline_job const& job, pipeline_schedule const& schedule) {
  auto graph = graph_of(job, schedule);
  if (!graph.executable()) throw std::invalid_argument("a schedule that can't be executed: its workers wait for each other");
  return graph;
}

}  // namespace detail

/// One iteration by itself, when stage s may start at `start[s]`: what an executor does with a single program.
/// Throws std::invalid_argument where the orders of the workers wait for each other.
[[nodiscard]] constexpr timetable times(pipeline_job const& job, pipeline_schedule const& schedule, stage_starts const& start = {}) {
  return detail::table_of(job, schedule, detail::executable_graph(job, schedule), start);
}

/// When the stages start in the steady state of many iterations, the earliest at 0. All 0 where the step isn't staggered.
[[nodiscard]] constexpr stage_starts steady_start(pipeline_job const& job, pipeline_schedule const& schedule) {
  if (!schedule.staggered_step) return stage_starts(static_cast<std::size_t>(job.stages), 0);
  return detail::steady_start(job, detail::executable_graph(job, schedule));
}

/// One iteration in the steady state.
[[nodiscard]] constexpr timetable steady_times(pipeline_job const& job, pipeline_schedule const& schedule) {
  return times(job, schedule, steady_start(job, schedule));
}

}  // namespace shunt
