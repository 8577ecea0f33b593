#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "shunt/core/id.hpp"
#include "shunt/core/operation.hpp"
#include "shunt/core/units.hpp"
#include "shunt/plan/pipeline_schedule.hpp"
#include "shunt/problem/pipeline_job.hpp"
#include "shunt/program/timeline.hpp"

namespace shunt {

/// A Gantt chart before it is drawn: who was busy with what from when to when. Plans and measurements become the same chart, so they
/// look alike side by side; to compare them to scale, give both the same span.
struct gantt {
  struct row {
    std::string label{};
    std::optional<ticks> dead_from{};  ///< greyed from here on
    constexpr bool operator==(row const&) const = default;
  };
  struct bar {
    std::size_t row = 0;
    ticks start = 0;
    ticks end = 0;
    opcode code = opcode::compute;
    operation op{};
    std::int32_t iteration = 0;
    bool rerouted = false;  ///< the micro-batch belongs to another pipeline, op.pipeline
    constexpr bool operator==(bar const&) const = default;
  };

  std::vector<row> rows{};
  std::vector<bar> bars{};
  ticks start = 0;
  ticks end = 0;               ///< the time axis runs from start to end and counts from start
  double seconds_per_tick = 0;  ///< 0: the axis counts ticks
  bool operator==(gantt const&) const = default;
};

/// The events of iterations first..last of a timeline.
[[nodiscard]] inline timeline iterations_of(timeline const& all, std::int32_t first, std::int32_t last) {
  timeline some{.seconds_per_tick = all.seconds_per_tick};
  for (auto const& e : all.events)
    if (e.iteration >= first && e.iteration <= last) some.events.push_back(e);
  return some;
}

/// The timeline that a schedule with its times promises: computations alone, in ticks. `iteration` is what its events say.
[[nodiscard]] inline timeline timeline_of(pipeline_schedule const& plan, timetable const& table, std::int32_t iteration = 0) {
  timeline promised;
  for (rank_id r : ids<rank_id>(plan.order.size()))
    for (std::size_t i = 0; i < plan.order[r].size(); ++i)
      promised.events.push_back({.rank = r,
                                 .iteration = iteration,
                                 .instruction = static_cast<std::int32_t>(i),
                                 .op = plan.order[r][i],
                                 .start = table.times[r][i].start,
                                 .end = table.times[r][i].end});
  return promised;
}

/// One row a rank that has events. Computations only, unless `transfers`.
[[nodiscard]] inline gantt gantt_of(timeline const& events, bool transfers = false) {
  gantt chart{.seconds_per_tick = events.seconds_per_tick};
  std::map<rank_id, std::size_t> row_of;
  for (auto const& e : events.events) row_of.try_emplace(e.rank);
  for (auto& [rank, row] : row_of) {
    row = chart.rows.size();
    chart.rows.push_back({.label = "rank " + std::to_string(rank.value())});
  }
  bool first = true;
  for (auto const& e : events.events) {
    if (e.code != opcode::compute && !transfers) continue;
    chart.bars.push_back({row_of[e.rank], e.start, e.end, e.code, e.op, e.iteration});
    chart.start = first ? e.start : std::min(chart.start, e.start);
    chart.end = first ? e.end : std::max(chart.end, e.end);
    first = false;
  }
  return chart;
}

/// One row a worker of the job, labelled pipeline:stage; dead workers are grey from the end of their last event on.
[[nodiscard]] inline gantt gantt_of(pipeline_job const& job, timeline const& events, bool transfers = false) {
  auto chart = gantt_of(events, transfers);
  chart.rows.clear();
  for (rank_id r : ids<rank_id>(job.ranks())) {
    auto const w = job.worker_of(r);
    chart.rows.push_back({.label = std::to_string(w.pipeline.value()) + ":" + std::to_string(w.stage.value())});
    if (!job.alive(w)) chart.rows.back().dead_from = chart.start;
  }
  std::size_t next = 0;
  for (auto const& e : events.events) {
    if (e.code != opcode::compute && !transfers) continue;
    auto& bar = chart.bars[next++];
    bar.row = e.rank.index();
    bar.rerouted = e.code == opcode::compute && e.op.kind != op_kind::step && e.op.pipeline != job.worker_of(e.rank).pipeline;
    if (auto& dead = chart.rows[bar.row].dead_from) dead = std::max(*dead, e.end);
  }
  return chart;
}

[[nodiscard]] inline gantt gantt_of(pipeline_job const& job, pipeline_schedule const& plan, timetable const& table) {
  return gantt_of(job, timeline_of(plan, table));
}

}  // namespace shunt
