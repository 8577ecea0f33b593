#pragma once
#include "shunt/measure/times.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <stdexcept>

#include "shunt/core/id.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/core/operation.hpp"
#include "shunt/plan/mismatch.hpp"

namespace shunt::detail {

SHUNT_CONSTEXPR void run(pipeline_job const& job, pipeline_schedule const& schedule,
                         stage_groups const& in, operation_graph const& graph,
                         stage_group_starts const& start, std::vector<ticks>& end) {
  end.assign(graph.nodes.size(), 0);
  // when the last operation that a stage's step waits for has ended
  std::vector<ticks> ready(static_cast<std::size_t>(job.stages), no_start);
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
    end[i] = at < 0 ? no_start : at + n.duration;
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

// Returns the largest end over the ranks of each stage group, steps included.
SHUNT_CONSTEXPR stage_group_starts stage_group_ends(stage_groups const& in,
                                                    operation_graph const& graph,
                                                    std::vector<ticks> const& end) {
  stage_group_starts latest(in.all.size(), no_start);
  for (std::size_t i = 0; i < graph.nodes.size(); ++i) {
    auto& e = latest[static_cast<std::size_t>(in.of[graph.nodes[i].rank])];
    e = std::max(e, end[i]);
  }
  return latest;
}

SHUNT_CONSTEXPR timetable table_of(pipeline_job const& job, pipeline_schedule const& schedule,
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

SHUNT_CONSTEXPR bool settles(std::vector<stage_group_starts> const& path, ticks theta,
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

SHUNT_CONSTEXPR ticks least_theta(std::vector<stage_group_starts> const& path, ticks low,
                                  ticks high, stage_group_starts& start) {
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

SHUNT_CONSTEXPR stage_group_starts steady_start(pipeline_job const& job,
                                                pipeline_schedule const& schedule,
                                                stage_groups const& in,
                                                operation_graph const& graph) {
  std::vector<ticks> end;
  std::vector<stage_group_starts> path;
  ticks low = 0, high = 0;  // Theta lies in [low, high]
  for (std::size_t c = 0; c < in.all.size(); ++c) {
    stage_group_starts only(in.all.size(), no_start);
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

SHUNT_CONSTEXPR void require_match(pipeline_job const& job, pipeline_schedule const& schedule) {
  if (auto const wrong = mismatch(job, schedule, extent::part); !wrong.empty())
    throw std::invalid_argument(wrong);
}

SHUNT_CONSTEXPR void require_match(pipeline_schedule const& schedule, timetable const& table) {
  if (auto const wrong = mismatch(schedule, table); !wrong.empty())
    throw std::invalid_argument(wrong);
}

SHUNT_CONSTEXPR operation_graph executable_graph(pipeline_job const& job,
                                                 pipeline_schedule const& schedule) {
  require_match(job, schedule);
  auto graph = graph_of(job, schedule);
  if (!graph.executable())
    throw std::invalid_argument(
        "a schedule that can't be executed: its workers wait for each other");
  return graph;
}

}  // namespace shunt::detail

namespace shunt {

SHUNT_CONSTEXPR timetable times(pipeline_job const& job, pipeline_schedule const& schedule,
                                stage_group_starts const& start) {
  return detail::table_of(job, schedule, stage_groups(job), detail::executable_graph(job, schedule),
                          start);
}

SHUNT_CONSTEXPR stage_group_starts steady_start(pipeline_job const& job,
                                                pipeline_schedule const& schedule) {
  stage_groups const in(job);
  if (!schedule.staggered_step) return stage_group_starts(in.all.size(), 0);
  return detail::steady_start(job, schedule, in, detail::executable_graph(job, schedule));
}

SHUNT_CONSTEXPR timetable steady_times(pipeline_job const& job, pipeline_schedule const& schedule) {
  stage_groups const in(job);
  auto const graph = detail::executable_graph(job, schedule);
  stage_group_starts start(in.all.size(), 0);
  if (schedule.staggered_step) start = detail::steady_start(job, schedule, in, graph);
  return detail::table_of(job, schedule, in, graph, start);
}

}  // namespace shunt
