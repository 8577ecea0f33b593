#pragma once
/// The files of --out: Gantt charts as planned and as measured, the loss curve, tables, a trace,
/// and one page that shows them.
#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <sstream>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "changes.hpp"
#include "compare_schedules.hpp"
#include "json_lines.hpp"
#include "options.hpp"
#include "output_file.hpp"
#include "report.hpp"
#include "run_in_process.hpp"
#include "shunt/core/id.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/core/units.hpp"
#include "shunt/execute/recovery.hpp"
#include "shunt/io/chart.hpp"
#include "shunt/io/chrome_trace.hpp"
#include "shunt/io/gantt.hpp"
#include "shunt/io/svg.hpp"
#include "shunt/measure/times.hpp"
#include "shunt/problem/pipeline_job.hpp"
#include "shunt/program/timeline.hpp"
#include "shunt/solve/author/pipeline.hpp"
#include "shunt/train/planned_iteration.hpp"

namespace example {

inline constexpr std::int32_t iterations_shown =
    2;  ///< of a steady state: enough to see how one meets the next

/// What a plan promises for some iterations of its steady state.
[[nodiscard]] inline shunt::gantt promised_chart(shunt::planned_iteration const& p,
                                                 std::chrono::nanoseconds unit) {
  auto const one = shunt::timeline_of(p.schedule, shunt::steady_times(p.job, p.schedule));
  shunt::timeline all;
  for (std::int32_t n = 0; n < iterations_shown; ++n)
    for (auto e : one.events) {
      e.iteration = n;
      e.start += n * p.period;
      e.end += n * p.period;
      all.events.push_back(e);
    }
  all.seconds_per_tick = std::chrono::duration<double>(unit).count();
  return shunt::gantt_of(p.job, all);
}

/// What happened in iterations [first, last] of a session.
[[nodiscard]] inline shunt::gantt measured_chart(shunt::pipeline_job const& job,
                                                 shunt::timeline const& events, std::int32_t first,
                                                 std::int32_t last) {
  return shunt::gantt_of(job, shunt::iterations_of(events, first, last));
}

[[nodiscard]] inline std::string drawn(shunt::gantt const& chart, std::string const& title) {
  std::ostringstream out;
  shunt::write_svg(out, chart, {.title = title});
  return out.str();
}

/// All sessions on one clock, iterations counted over the whole run.
[[nodiscard]] inline shunt::timeline joined_timeline(shunt::recovery_report const& report) {
  shunt::timeline all{.seconds_per_tick = 1e-9};
  shunt::ticks offset = 0;
  for (auto const& s : report.sessions) {
    shunt::ticks last = 0;
    for (auto e : s.result.timeline.events) {
      last = std::max(last, e.end);
      e.iteration += static_cast<std::int32_t>(s.first);
      e.start += offset;
      e.end += offset;
      all.events.push_back(e);
    }
    offset += last;
  }
  std::sort(all.events.begin(), all.events.end(), [](shunt::event const& a, shunt::event const& b) {
    return std::tie(a.rank, a.start, a.iteration, a.instruction) <
           std::tie(b.rank, b.start, b.iteration, b.instruction);
  });
  return all;
}

/// A pair of charts, as planned and as measured.
struct chart_pair {
  std::string name{};     ///< of the files: planned_<name>.svg, measured_<name>.svg
  std::string caption{};  ///< what both show
  std::string planned{}, measured{};
};

/// The last steady iterations of every session that had some, and the one in which a worker was
/// lost.
template <class Run>
[[nodiscard]] std::vector<chart_pair> charts_of(options const& o, Run& run,
                                                shunt::recovery_report const& report) {
  std::vector<chart_pair> all;
  for (std::size_t n = 0; n < report.sessions.size(); ++n) {
    auto const& s = report.sessions[n];
    auto const& plan = run.plan_without(s.dead);
    auto complete = std::numeric_limits<std::int32_t>::max();
    for (shunt::rank_id r : shunt::ids<shunt::rank_id>(s.result.done.size()))
      complete = std::min(complete, s.result.done[r].programs);
    std::string const with =
        s.dead.empty() ? "all workers" : std::to_string(s.dead.size()) + " dead";
    std::string const name = std::to_string(n) + "_" + std::to_string(s.dead.size()) + "_dead";
    if (complete >= iterations_shown) {
      auto const last = s.first + complete - 1;
      std::string const caption = "iterations " + std::to_string(last - iterations_shown + 1) +
                                  " and " + std::to_string(last) + ", " + with;
      all.push_back({.name = name,
                     .caption = caption,
                     .planned = drawn(promised_chart(plan, o.training.unit), "planned: " + with),
                     .measured = drawn(measured_chart(plan.job, s.result.timeline,
                                                      complete - iterations_shown, complete - 1),
                                       "measured: " + caption)});
    }
    if (!s.result.lost.empty()) {
      auto job = plan.job;
      for (auto const r : s.result.lost) job.dead.push_back(job.worker_of(r));
      std::string const caption = "the iteration in which " + describe(job, s.result.lost) +
                                  " fell silent, " + std::to_string(s.first + complete) +
                                  ": the others stop where they need what never comes";
      all.push_back(
          {.name = name + "_lost",
           .caption = caption,
           .measured = drawn(measured_chart(job, s.result.timeline, complete, complete + 1),
                             "measured: " + caption)});
    }
  }
  return all;
}

/// The files of a training run; `undisturbed` are the losses without failures.
template <class Run>
void write_files(output_folder const& folder, options const& o, Run& run,
                 shunt::recovery_report const& result, std::vector<double> const& undisturbed) {
  auto const& job = o.training.job;
  double const unit_ms = std::chrono::duration<double, std::milli>(o.training.unit).count();
  shunt::line_chart loss{
      .title = "Loss with and without failures", .x_label = "iteration", .y_label = "nats a byte"};
  loss.lines = {{.name = "with failures"}, {.name = "without", .dashed = true}};
  std::ostringstream csv;
  csv << "iteration,loss,undisturbed_loss,live,planned_units,measured_ms\n";
  for (auto const& i : run.iterations()) {
    loss.lines[0].points.emplace_back(static_cast<double>(i.iteration), i.loss);
    csv << i.iteration << ","
        << format("%.17g,%.17g", i.loss, undisturbed[static_cast<std::size_t>(i.iteration)]) << ","
        << i.live << "," << i.planned << ","
        << (i.took ? format("%.4f", milliseconds(*i.took)) : "") << "\n";
  }
  for (std::size_t i = 0; i < undisturbed.size(); ++i)
    loss.lines[1].points.emplace_back(static_cast<double>(i), undisturbed[i]);
  for (auto const& l : result.losses)
    loss.events.emplace_back(static_cast<double>(l.iteration), describe(job, l.ranks) + " lost");
  for (auto const& j : result.joined)
    loss.events.emplace_back(static_cast<double>(j.iteration),
                             shunt::describe(job.worker_of(j.rank)) + " joins");
  std::ostringstream loss_svg;
  shunt::write_svg(loss_svg, loss);
  folder.text("loss.svg", loss_svg.str());
  folder.text("losses.csv", csv.str());
  shunt::trace_style trace;
  for (shunt::rank_id r : shunt::ids<shunt::rank_id>(job.ranks()))
    trace.rank_names.push_back("worker " + shunt::describe(job.worker_of(r)));
  folder.file("trace.json",
              [&](std::ostream& out) { shunt::write_trace(out, joined_timeline(result), trace); });

  bool same = run.iterations().size() == undisturbed.size();
  for (auto const& i : run.iterations())
    same = same && i.loss == undisturbed[static_cast<std::size_t>(i.iteration)];
  report page("Training through failures");
  nlohmann::ordered_json const counts = job.microbatches.values();
  nlohmann::ordered_json summary{{"pipelines", job.pipelines},
                                 {"stages", job.stages},
                                 {"microbatches", counts.size() == 1 ? counts[0] : counts},
                                 {"policy", o.policy},
                                 {"identical", same},
                                 {"unit_ms", unit_ms}};
  page.prose(format("%d pipelines of %d stages train on %s micro-batches each; %zu workers were "
                    "lost on the way and %zu came back. The losses "
                    "of all %zu iterations are %s as without failures.",
                    job.pipelines, job.stages, text_of(job.microbatches).c_str(),
                    result.losses.size(), result.joined.size(), run.iterations().size(),
                    same ? "the same bits" : "NOT the same"));
  page.figure(loss_svg.str(), "The loss of every iteration; the two lines coincide.");
  std::vector<std::vector<std::string>> rows;
  summary["iterations"] = nlohmann::ordered_json::array();
  for (auto const& i : run.iterations()) {
    auto const planned_ms = format("%.1f", static_cast<double>(i.planned) * unit_ms);
    rows.push_back(
        {std::to_string(i.iteration), format("%.17g", i.loss), std::to_string(i.live),
         unit_ms > 0 ? planned_ms : format("%lld units", static_cast<long long>(i.planned)),
         i.took ? format("%.1f", milliseconds(*i.took)) : "restart"});
    summary["iterations"].push_back(
        {{"iteration", i.iteration},
         {"loss", i.loss},
         {"live", i.live},
         {"planned_units", i.planned},
         {"measured_ms",
          i.took ? nlohmann::ordered_json(milliseconds(*i.took)) : nlohmann::ordered_json()}});
  }
  page.section("Iterations")
      .table(
          {"iteration", "loss, nats a byte", "live workers", "planned period, ms", "measured, ms"},
          rows);
  rows.clear();
  summary["losses"] = nlohmann::ordered_json::array();
  for (auto const& l : result.losses) {
    auto const ms = [](shunt::ticks t) { return format("%.2f", static_cast<double>(t) * 1e-6); };
    rows.push_back({describe(job, l.ranks), std::to_string(l.iteration), ms(l.detect), ms(l.agree),
                    ms(l.restore), ms(l.replan), ms(l.redo), std::to_string(l.steps_undone),
                    std::to_string(l.instructions_lost)});
    summary["losses"].push_back({{"workers", describe(job, l.ranks)},
                                 {"iteration", l.iteration},
                                 {"detect_ns", l.detect},
                                 {"agree_ns", l.agree},
                                 {"restore_ns", l.restore},
                                 {"replan_ns", l.replan},
                                 {"redo_ns", l.redo},
                                 {"steps_undone", l.steps_undone},
                                 {"instructions_lost", l.instructions_lost},
                                 {"backward_passes_kept", l.kept},
                                 {"backward_passes", l.total}});
  }
  page.section("Recoveries")
      .prose("Milliseconds from the last sign of life to the end of the iteration that was done "
             "again.")
      .table({"lost", "iteration", "detect", "agree", "restore", "re-plan", "redo", "steps undone",
              "instructions lost"},
             rows);
  std::vector<chart_pair> charts;
  if constexpr (has_policy<Run>) {
    write_changes(page, summary, job, run.changes());
  } else {
    page.section("Schedules");
    charts = charts_of(o, run, result);
  }
  for (auto const& c : charts) {
    if (!c.planned.empty()) {
      folder.text("planned_" + c.name + ".svg", c.planned);
      page.figure(c.planned, "Planned: the steady state of " + c.caption);
    }
    folder.text("measured_" + c.name + ".svg", c.measured);
    page.figure(c.measured, "Measured: " + c.caption);
  }
  folder.file("train.json", [&](std::ostream& out) { print_json(out, summary); });
  folder.file("train.html", [&](std::ostream& out) { out << page; });
}

/// The files of a comparison of schedules.
inline void write_files(output_folder const& folder, options const& o,
                        std::vector<measured_variant> const& all) {
  report page("Planned and measured periods");
  nlohmann::ordered_json summary{
      {"unit_ms", std::chrono::duration<double, std::milli>(o.training.unit).count()}};
  summary["variants"] = nlohmann::ordered_json::array();
  std::vector<std::vector<std::string>> rows;
  for (auto const& v : all) {
    rows.push_back({v.name, std::to_string(v.plan.period), format("%.1f", v.predicted_ms),
                    format("%.1f", v.measured_ms), format("%.4f", v.ratio()),
                    format("%.1f %%", 100 * v.computing_share)});
    summary["variants"].push_back({{"name", v.name},
                                   {"period", v.plan.period},
                                   {"predicted_ms", v.predicted_ms},
                                   {"measured_ms", v.measured_ms},
                                   {"ratio", v.ratio()},
                                   {"computing_share", v.computing_share}});
  }
  page.table({"schedule", "period, units", "predicted, ms", "measured, ms", "ratio", "computing"},
             rows);
  for (std::size_t n = 0; n < all.size(); ++n) {
    auto const& v = all[n];
    auto const planned = drawn(promised_chart(v.plan, o.training.unit), "planned: " + v.name);
    auto const measured = drawn(shunt::gantt_of(v.plan.job, v.last), "measured: " + v.name);
    folder.text("planned_variant_" + std::to_string(n) + ".svg", planned);
    folder.text("measured_variant_" + std::to_string(n) + ".svg", measured);
    page.section(v.name).figure(planned, "Planned").figure(measured, "Measured");
  }
  folder.file("variants.json", [&](std::ostream& out) { print_json(out, summary); });
  folder.file("variants.html", [&](std::ostream& out) { out << page; });
}

}  // namespace example
