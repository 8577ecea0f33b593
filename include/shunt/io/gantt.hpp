#pragma once
/// Gantt charts as data: plans with their times, and timelines.
/// Plans and measurements become the same chart. For a comparison to scale both need the same span.
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "shunt/core/id.hpp"
#include "shunt/core/operation.hpp"
#include "shunt/core/units.hpp"
#include "shunt/plan/pipeline_schedule.hpp"
#include "shunt/plan/redundancy.hpp"
#include "shunt/problem/pipeline_job.hpp"
#include "shunt/problem/stage_layout.hpp"
#include "shunt/program/program.hpp"
#include "shunt/program/timeline.hpp"

namespace shunt {

/// Bars of operations on rows of workers, before drawing.
struct gantt {
  struct row {
    std::string label{};
    std::optional<ticks> dead_from{};  ///< grey from here on
    bool operator==(row const&) const = default;
  };
  struct bar {
    std::size_t row = 0;
    ticks start = 0;
    ticks end = 0;
    opcode code = opcode::compute;
    operation op{};
    std::int32_t iteration = 0;
    bool rerouted = false;  ///< the micro-batch belongs to another pipeline, op.pipeline
    /// A forward of a stage that the row's rank doesn't run: its shadow repeats it.
    bool redundant = false;
    /// Number of the bar's worker on its rank, from 0: a later chunk of the model, or the other
    /// direction.
    std::int32_t chunk = 0;
    enum class share : std::uint8_t {
      whole,
      first,
      second
    } part = share::whole;  ///< part of an overlapped pair; both parts follow each other
    bool operator==(bar const&) const = default;
  };

  std::vector<row> rows{};
  std::vector<bar> bars{};
  bool bidirectional = false;  ///< chunks are directions: pipelines share their ranks
  ticks start = 0;
  ticks end = 0;                ///< the time axis runs from start to end and counts from start
  double seconds_per_tick = 0;  ///< 0: the axis counts ticks
  bool operator==(gantt const&) const = default;
};

/// Returns the events of iterations first..last of a timeline.
[[nodiscard]] timeline iterations_of(timeline const& all, std::int32_t first, std::int32_t last);

/// Returns the timeline that a schedule with its times predicts: computations only, in ticks. Its
/// events get the number `iteration`.
/// Throws std::invalid_argument where the timetable is not one of the schedule.
[[nodiscard]] timeline timeline_of(pipeline_schedule const& plan, timetable const& table,
                                   std::int32_t iteration = 0);

/// Returns the same of a schedule with redundant forwards, which stand where they run.
/// Throws std::invalid_argument where the times are not those of the schedule.
[[nodiscard]] timeline timeline_of(redundant_schedule const& plan,
                                   redundant_timetable const& table);

/// Returns the timeline of the first `count` iterations of a steady state, whose iterations have
/// these times, a period apart.
/// Throws as timeline_of does.
[[nodiscard]] timeline steady_timeline(pipeline_schedule const& plan, timetable const& table,
                                       ticks period, std::int32_t count);

namespace detail {

/// Returns the label of a rank: "0:2" for one worker; "rank 2: stages 2, 5" where it has
/// chunks of the only pipeline; "rank 2: 0:2, 1:5" otherwise. After four workers the rest is
/// counted.
[[nodiscard]] std::string name_of(pipeline_job const& job, rank_id r,
                                  std::vector<worker> const& workers);

}  // namespace detail

/// Returns a chart with one row a rank that has events. Computations only, unless `transfers`.
[[nodiscard]] gantt gantt_of(timeline const& events, bool transfers = false);

/// Returns a chart with one row a rank of the job, labelled with its workers. Dead ranks are grey
/// from the end of their last event on.
/// Throws std::invalid_argument where an event is of a rank that the job doesn't have.
[[nodiscard]] gantt gantt_of(pipeline_job const& job, timeline const& events,
                             bool transfers = false);

[[nodiscard]] gantt gantt_of(pipeline_job const& job, pipeline_schedule const& plan,
                             timetable const& table);

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/io/gantt.ipp"
#endif
