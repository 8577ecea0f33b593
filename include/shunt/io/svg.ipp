#pragma once
#include "shunt/io/svg.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstddef>
#include <set>
#include <utility>
#include <vector>

#include "shunt/core/config.hpp"
#include "shunt/core/id.hpp"
#include "shunt/core/operation.hpp"
#include "shunt/core/units.hpp"
#include "shunt/io/axis.hpp"
#include "shunt/io/drawing.hpp"
#include "shunt/program/program.hpp"

namespace shunt::detail {

struct paint {
  std::string_view fill;
  std::string_view ink;  ///< of text on it
};

SHUNT_CONSTEXPR paint paint_of(opcode code, op_kind kind) {
  if (code != opcode::compute) return {colour::grey, colour::ink};
  switch (kind) {
    case op_kind::forward:
    case op_kind::redundant_forward:
    case op_kind::expert_forward: return {colour::sky, colour::ink};
    case op_kind::backward:
    case op_kind::expert_backward: return {colour::orange, colour::ink};
    case op_kind::backward_input:
    case op_kind::route: return {colour::yellow, colour::ink};
    case op_kind::backward_weight: return {colour::green, colour::paper};
    case op_kind::step: return {colour::pink, colour::ink};
    case op_kind::redo_step: return {colour::vermilion, colour::paper};
    case op_kind::gradient_norm:
    case op_kind::validate_step:
    case op_kind::pace: return {colour::grey, colour::ink};
    case op_kind::dispatch:
    case op_kind::dispatch_backward: return {colour::blue, colour::paper};
    case op_kind::combine:
    case op_kind::combine_backward: return {colour::vermilion, colour::paper};
  }
  return {colour::grey, colour::ink};
}

SHUNT_INLINE std::string tinted(std::string_view fill, std::int32_t chunk) {
  if (chunk == 0 || fill.size() != 7) return std::string(fill);
  double const white = 0.75 * (1 - std::pow(0.45, chunk));
  std::string mixed = "#";
  for (std::size_t i = 1; i < 7; i += 2) {
    int value = 0;
    std::from_chars(fill.data() + i, fill.data() + i + 2, value, 16);
    value = static_cast<int>(std::lround(value + (255 - value) * white));
    for (int const digit : {value / 16, value % 16}) mixed += "0123456789abcdef"[digit];
  }
  return mixed;
}

// Returns the outline of a micro-batch of another pipeline.
SHUNT_CONSTEXPR std::string_view outline_of(pipeline_id owner) {
  constexpr std::array<std::string_view, 6> outlines{"#000000", "#003f7d", "#8c0014",
                                                     "#4a1a78", "#004d38", "#6b3500"};
  return outlines[owner.index() % outlines.size()];
}

SHUNT_INLINE std::string name_of(gantt::bar const& b) {
  return std::string(b.code == opcode::compute ? to_string(b.op.kind) : to_string(b.code));
}

SHUNT_CONSTEXPR bool has_microbatch(gantt::bar const& b) {
  return b.code == opcode::compute && is_of_microbatch(b.op.kind);
}

// Returns the unit of the time axis, in which the span has at most five digits before the point,
// and the number of ticks in one unit.
SHUNT_INLINE std::pair<std::string, double> unit_of(double seconds_per_tick, double span) {
  if (seconds_per_tick <= 0) return {"ticks", 1};
  double const seconds = span * seconds_per_tick;
  if (seconds >= 10) return {"s", 1 / seconds_per_tick};
  if (seconds >= 1e-3) return {"ms", 1e-3 / seconds_per_tick};
  return {"µs", 1e-6 / seconds_per_tick};
}

}  // namespace shunt::detail

namespace shunt {

SHUNT_INLINE void write_svg(std::ostream& out, gantt const& chart, gantt_style const& style) {
  auto const rows = static_cast<double>(chart.rows.size());
  double const row_height = style.row_height > 0 ? style.row_height
                            : rows <= 40         ? 24
                            : rows <= 128        ? 12
                                                 : 5;
  double const gap = row_height >= 12 ? 2 : row_height >= 5 ? 1 : 0;
  double label_width = drawing::width_of("worker");
  for (auto const& r : chart.rows) label_width = std::max(label_width, drawing::width_of(r.label));

  // Entries of the legend, by number of the kind, then the pipelines whose micro-batches moved.
  std::set<std::pair<opcode, op_kind>> kinds;
  std::set<pipeline_id> owners;
  std::set<std::int32_t> chunks;
  bool pairs = false, redundant = false;
  for (auto const& b : chart.bars) {
    if (detail::has_microbatch(b)) chunks.insert(b.chunk);
    pairs = pairs || b.part != gantt::bar::share::whole;
    if (b.end > b.start && !b.redundant)
      kinds.emplace(b.code, b.code == opcode::compute ? b.op.kind : op_kind::forward);
    if (b.rerouted) owners.insert(b.op.pipeline);
    redundant = redundant || b.redundant;
  }
  struct entry {
    std::string text;
    std::string fill;
    std::string_view outline = colour::none;
    bool hatched = false, split = false;
    std::int32_t chunk = 0;
  };
  std::vector<entry> legend;
  for (auto const& [code, kind] : kinds) {
    std::string name = detail::name_of({.code = code, .op = {.kind = kind}});
    std::replace(name.begin(), name.end(), '_', ' ');
    legend.push_back({std::move(name), std::string(detail::paint_of(code, kind).fill)});
  }
  if (chunks.size() > 1)
    for (auto const chunk : chunks) {
      std::string name = "chunk " + std::to_string(chunk);
      if (chart.bidirectional) name = chunk == 0 ? "first rank to last" : "last rank to first";
      legend.push_back(
          {.text = std::move(name), .fill = detail::tinted(colour::grey, chunk), .chunk = chunk});
    }
  if (pairs)
    legend.push_back({.text = "overlapped pair", .fill = std::string(colour::sky), .split = true});
  if (redundant)
    legend.push_back(
        {"redundant forward, of the next stage", std::string(colour::paper), colour::sky, true});
  for (auto const owner : owners)
    legend.push_back({"re-routed from pipeline " + std::to_string(owner.value()),
                      std::string(colour::paper), detail::outline_of(owner), true});
  if (std::any_of(chart.rows.begin(), chart.rows.end(),
                  [](auto const& r) { return r.dead_from.has_value(); }))
    legend.push_back({"dead", std::string(colour::grid)});

  double const left = 16 + label_width + 8, right = style.width - 24;
  double y = style.title.empty() ? 12 : 36;
  double x = left;
  std::vector<std::pair<double, double>> places;
  for (auto const& e : legend) {
    double const w = 20 + drawing::width_of(e.text) + 16;
    if (x + w > right + 16 && x > left) x = left, y += 20;
    places.emplace_back(x, y);
    x += w;
  }
  double const top = y + (legend.empty() ? 0 : 26), bottom = top + rows * row_height;

  drawing picture(style.width, bottom + 48);
  if (!style.title.empty()) picture.title(left, style.title);
  // Besides its lighter shade a later chunk has one stroke in its upper left corner for each chunk
  // before it.
  auto const mark_chunk = [&](double from, double at, double w, std::int32_t chunk) {
    for (double k = 0; k < chunk && k < 7 && 2 + 3 * k + 1.5 < w; ++k)
      picture.rectangle(from + 1.5 + 3 * k, at + 1, 1.5, 4, colour::ink);
  };
  for (std::size_t i = 0; i < legend.size(); ++i) {
    auto const& [lx, ly] = places[i];
    picture.rectangle(lx, ly, 14, 12, legend[i].fill, legend[i].outline, 1.5);
    if (legend[i].hatched) picture.hatch(lx, ly, 14, 12, legend[i].outline);
    if (legend[i].split) picture.rectangle(lx, ly + 6, 14, 6, colour::orange);
    mark_chunk(lx, ly, 14, legend[i].chunk);
    picture.text(lx + 20, ly + 10.5, legend[i].text);
  }

  auto const span = static_cast<double>(std::max<ticks>(1, chart.end - chart.start));
  auto const [unit, unit_ticks] = detail::unit_of(chart.seconds_per_tick, span);
  axis const time(0, span / unit_ticks, left, right);
  // clang 14 captures no structured binding.
  auto const at = [&, per = unit_ticks](ticks t) {
    return time(static_cast<double>(t - chart.start) / per);
  };

  auto const label_every = static_cast<std::size_t>(std::max(1.0, 11 / row_height + 0.99));
  for (std::size_t r = 0; r < chart.rows.size(); ++r) {
    double const ry = top + static_cast<double>(r) * row_height;
    auto const& dead = chart.rows[r].dead_from;
    picture.rectangle(left, ry, right - left, row_height - gap, "#f5f5f5");
    if (dead && *dead < chart.end) {
      double const from = std::clamp(at(*dead), left, right);
      picture.rectangle(from, ry, right - from, row_height - gap, colour::grid);
      if (row_height >= 16 && right - from > 40)
        picture.text((from + right) / 2, ry + row_height / 2 + 3, "dead", anchor::middle,
                     colour::faint);
    }
    if (r % label_every == 0)
      picture.text(left - 8, ry + (row_height - gap) / 2 + 4, chart.rows[r].label, anchor::end,
                   dead ? colour::grey : colour::ink,
                   std::min(drawing::font_size, std::max(8.0, row_height)));
  }
  picture.text(left - 8, top - 5, "worker", anchor::end, colour::faint, 10);
  for (auto const& [value, text] : time.marks(12))
    picture.line(time(value), top, time(value), bottom + 4, colour::grid);

  for (auto const& b : chart.bars) {
    ticks const start = std::max(b.start, chart.start), end = std::min(b.end, chart.end);
    if (start >= end || b.row >= chart.rows.size()) continue;
    double const from = at(start), to = at(end);
    bool const thin = b.code != opcode::compute;  // a transfer stands under the row's computations
    bool const half = b.part != gantt::bar::share::whole;
    double const h =
        thin ? std::max(1.0, (row_height - gap) / 5) : (row_height - gap) / (half ? 2 : 1);
    double const w = std::max(0.5, to - from - (to - from > 4 ? 1 : 0));
    double const by = top + static_cast<double>(b.row) * row_height +
                      (b.part == gantt::bar::share::first ? 0 : row_height - gap - h);
    auto const [colour_of_kind, ink_of_kind] = detail::paint_of(b.code, b.op.kind);
    bool const microbatch = detail::has_microbatch(b);
    auto const fill = b.redundant ? std::string(colour::paper)
                                  : detail::tinted(colour_of_kind, microbatch ? b.chunk : 0);
    auto const ink = microbatch && b.chunk > 0 ? colour::ink : ink_of_kind;
    std::string const owned =
        std::to_string(b.op.pipeline.value()) + ":" + std::to_string(b.op.microbatch.value());
    std::string tip = detail::name_of(b);
    if (microbatch)
      tip += " of micro-batch " + owned +
             (chunks.size() > 1 || b.redundant ? " at stage " + std::to_string(b.op.stage.value())
                                               : "");
    tip += ", " + decimal(static_cast<double>(b.start - chart.start) / unit_ticks, 3) + " to " +
           decimal(static_cast<double>(b.end - chart.start) / unit_ticks, 3) + " " + unit;
    picture.rectangle(from, by, w, h, fill, colour::none, 1, tip);
    if ((b.rerouted || b.redundant) && w > 4) {
      auto const outline = b.redundant ? colour::sky : detail::outline_of(b.op.pipeline);
      picture.hatch(from, by, w, h, outline, 8);
      picture.rectangle(from + 0.75, by + 0.75, w - 1.5, h - 1.5, colour::none, outline, 1.5);
    }
    if (!microbatch) continue;
    if (w >= 9 && h >= 8) mark_chunk(from, by, w, b.chunk);
    double const size = std::min(11.0, h - 2);
    for (auto const& text : {b.rerouted ? owned : std::to_string(b.op.microbatch.value()),
                             std::to_string(b.op.microbatch.value())}) {
      double const tw = drawing::width_of(text, size);
      if (size < 8 || tw + 2 > w) continue;
      double const middle = from + w / 2;
      if (b.rerouted || b.redundant)
        picture.rectangle(middle - tw / 2 - 1, by + h / 2 - size / 2 - 0.5, tw + 2, size + 1, fill);
      picture.text(middle, by + h / 2 + size * 0.36, text, anchor::middle, ink, size);
      break;
    }
  }

  picture.line(left, bottom + 2, right, bottom + 2, colour::faint);
  for (auto const& [value, text] : time.marks(12))
    picture.text(time(value), bottom + 18, text, anchor::middle, colour::faint);
  picture.text((left + right) / 2, bottom + 38, "time [" + unit + "]", anchor::middle,
               colour::faint);
  out << picture;
}

SHUNT_INLINE void write_svg(std::ostream& out, pipeline_job const& job,
                            pipeline_schedule const& plan, timetable const& table,
                            gantt_style const& style) {
  write_svg(out, gantt_of(job, plan, table), style);
}

SHUNT_INLINE void write_svg(std::ostream& out, pipeline_job const& job, timeline const& events,
                            gantt_style const& style) {
  write_svg(out, gantt_of(job, events), style);
}

SHUNT_INLINE void write_svg(std::ostream& out, timeline const& events, gantt_style const& style) {
  write_svg(out, gantt_of(events), style);
}

}  // namespace shunt
