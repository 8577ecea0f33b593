#pragma once
/// Gantt charts as SVG.
#include <cmath>
#include <cstdint>
#include <ostream>
#include <string>
#include <string_view>

#include "shunt/io/gantt.hpp"
#include "shunt/plan/pipeline_schedule.hpp"
#include "shunt/problem/pipeline_job.hpp"
#include "shunt/program/timeline.hpp"

namespace shunt {

/// How a Gantt chart is drawn.
struct gantt_style {
  std::string title{};
  double width = 1100;    ///< of the whole picture, pixels
  double row_height = 0;  ///< pixels; 0: 24, less for more than 40 rows
};

namespace detail {

/// Returns a colour mixed with white, for later chunks of a rank: always lighter, never white.
[[nodiscard]] std::string tinted(std::string_view fill, std::int32_t chunk);

[[nodiscard]] std::string name_of(gantt::bar const& b);
}  // namespace detail

/// Writes a Gantt chart as one SVG element: one row a worker, one colour a kind of operation, the
/// micro-batch's number where there is room.
/// Re-routed micro-batches are hatched and outlined in the colour of their own pipeline. Later
/// chunks of a rank, and the pipeline from the last rank to the first, are lighter and marked.
/// Redundant forwards are hatched in the colour of forwards. Overlapped pairs share the height of a
/// row. Dead workers are grey.
void write_svg(std::ostream& out, gantt const& chart, gantt_style const& style = {});

/// Draws a schedule with its times, on the workers of its job.
void write_svg(std::ostream& out, pipeline_job const& job, pipeline_schedule const& plan,
               timetable const& table, gantt_style const& style = {});
/// Draws a measured or predicted timeline on the workers of a job or, without a job, on ranks.
void write_svg(std::ostream& out, pipeline_job const& job, timeline const& events,
               gantt_style const& style = {});
void write_svg(std::ostream& out, timeline const& events, gantt_style const& style = {});

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/io/svg.ipp"
#endif
