#pragma once
/// Workers with other parts, in the files of --out.
/// The files of --out: Gantt charts as planned and as measured, the loss curve, tables, a trace,
/// and one page that shows them.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <nlohmann/json.hpp>
#include <ostream>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "comparison.hpp"
#include "language_training.hpp"
#include "options.hpp"
#include "runs.hpp"
#include "shunt/json/print.hpp"
#include "shunt/launch/output_file.hpp"
#include "shunt/shunt.hpp"
#include "shunt/train.hpp"
#include "slow.hpp"
#include "slow_pictures.hpp"

namespace example {

/// Predicted against measured periods of the four variants that SlipStream compares (SOSP'24 slides
/// 10 to 25).
struct measured_variant {
  std::string name{};
  shunt::planned_iteration plan{};
  double predicted_ms = 0;
  double measured_ms = 0;        ///< median distance of the ends of iterations
  double slowest_ms = 0;         ///< the largest of them
  double computing_share = 0;    ///< real computation over the time that operations are to take
  std::vector<double> losses{};  ///< by iteration
  shunt::timeline last{};        ///< the last two iterations

  double ratio() const { return measured_ms / predicted_ms; }
};

inline constexpr std::int32_t settling_iterations =
    3;  ///< stages drift apart until a staggered schedule is in its steady state
inline constexpr std::int32_t steady_iterations = 7;

/// Trains with one schedule from the start, without a failure on the way, and times its iterations.
inline measured_variant measure_variant(std::string name, language_training training,
                                        shunt::planned_iteration plan, text_bytes const& bytes,
                                        std::vector<shunt::stretch> const& slow) {
  training.iterations = settling_iterations + steady_iterations;
  slow_language_work work(training, bytes);
  work.stretch_by(slow);
  work.fit(*plan.iteration);
  auto session = shunt::thread_executor{}.open(work);
  for (std::int64_t i = 0; i < training.iterations; ++i) session.submit(plan.iteration);
  if (plan.closing) session.submit(plan.closing);
  auto const count = static_cast<std::int32_t>(training.iterations);
  if (!session.wait_until(count))
    throw std::runtime_error("a worker was lost without having been killed");
  std::vector<double> distances;
  for (std::int32_t n = settling_iterations + 1; n <= count; ++n)
    distances.push_back(static_cast<double>(session.completed_at(n) - session.completed_at(n - 1)) *
                        1e-6);
  auto done = session.wait();

  measured_variant v{.name = std::move(name), .plan = std::move(plan)};
  v.predicted_ms = static_cast<double>(v.plan.period) *
                   std::chrono::duration<double, std::milli>(training.unit).count();
  shunt::spread const periods(distances);
  v.measured_ms = periods.median;
  v.slowest_ms = periods.most;
  v.computing_share = work.computing_share();
  for (std::int64_t i = 0; i < training.iterations; ++i) v.losses.push_back(work.loss(i));
  v.last = shunt::iterations_of(done.timeline, count - 2, count - 1);
  return v;
}

/// All four, one after the other. The workers that --kill names are dead from the start, and those
/// that --slow names are slow, by the last factor (without any: stage 2 of pipeline 1 is dead, as
/// in the paper's figures, or the nearest there is). Throws invalid_problem where that leaves a
/// stage without a worker.
inline std::vector<measured_variant> compare_schedules(options const& o, text_bytes const& bytes) {
  auto const tensors = language_work(o.training, bytes).tensors();
  auto const form =
      o.training.validates() ? shunt::iteration_form::validated : shunt::iteration_form::plain;
  auto job = o.training.job;
  shunt::slow_verdicts paces(static_cast<std::size_t>(job.ranks()));
  std::vector<shunt::stretch> slow;
  for (auto const& s : slow_in(o, o.training.iterations - 1)) {
    slow.push_back({job.rank_of(s.who), s.factor, 0});
    paces[slow.back().rank].sixteenths =
        std::llround(s.factor * static_cast<double>(shunt::slow_verdict::normal));
  }
  std::vector<measured_variant> all;
  auto const add = [&](char const* name, auto const& solver, shunt::pipeline_job const& of) {
    auto plan = shunt::plan_iteration(solver, slow.empty() ? of : shunt::in_sixteenths(of, paces),
                                      tensors, form);
    if (!slow.empty()) plan.count_in(shunt::slow_verdict::normal);
    all.push_back(measure_variant(name, o.training, std::move(plan), bytes, slow));
  };
  auto const whole = job;
  for (auto const& k : o.kills)
    if (job.alive(k.who)) job.dead.push_back(k.who);
  if (job.dead.empty() && slow.empty())
    job.dead.push_back({std::min(1, job.pipelines - 1), std::min(2, job.stages - 1)});
  if (auto const stage = stage_without_worker(job))
    throw shunt::invalid_problem("compare-schedules", "leaves stage " +
                                                          std::to_string(stage->value()) +
                                                          " without a live worker");
  add(slow.empty() ? "no failure, 1F1B" : "1F1B, all wait", shunt::one_f_one_b{}, whole);
  job.memory = shunt::stash_cap::one_f_one_b();
  add("re-routed", shunt::slipstream{.split = false, .stagger = false}, job);
  job.memory = shunt::stash_cap::none();
  add("+ split backward", shunt::slipstream{.stagger = false}, job);
  add("+ staggered step", shunt::slipstream{}, job);
  return all;
}

/// One line a variant, and whether their losses are the same bits.
inline bool print(std::ostream& out, std::vector<measured_variant> const& all,
                  std::chrono::nanoseconds unit) {
  auto const line = [&](auto... parts) { out << format(parts...) << "\n"; };
  line("%-18s %10s %12s %12s %8s %12s %10s", "schedule", "period", "predicted", "measured", "ratio",
       "slowest", "computing");
  for (auto const& v : all)
    line("%-18s %10lld %9.1f ms %9.1f ms %8.4f %9.1f ms %8.1f %%", v.name, v.plan.period,
         v.predicted_ms, v.measured_ms, v.ratio(), v.slowest_ms, 100 * v.computing_share);
  for (auto const& v : all)
    if (v.computing_share > 0.04)
      line("warning: %s: real computation takes %.1f %% of the time of operations, more than 4 %%; "
           "raise --op-ms above %.1f",
           v.name, 100 * v.computing_share,
           std::chrono::duration<double, std::milli>(unit).count());
  bool const same = std::all_of(all.begin(), all.end(),
                                [&](auto const& v) { return v.losses == all.front().losses; });
  if (same)
    out << "identical: " << all.front().losses.size() << " losses\n";
  else
    out << "differ: the losses of the schedules are not the same bits\n";
  return same;
}

/// What every change of the workers' parts cost.
inline nlohmann::ordered_json json_of(shunt::pipeline_job const& job,
                                      std::vector<shunt::rearrangement> const& changes) {
  auto const workers = [&](std::vector<shunt::rank_id> const& ranks) {
    auto all = nlohmann::ordered_json::array();
    for (auto const r : ranks) all.push_back(std::string(shunt::describe(job.worker_of(r)).view()));
    return all;
  };
  auto all = nlohmann::ordered_json::array();
  for (auto const& c : changes) {
    auto pipelines = nlohmann::ordered_json::array();
    auto const ranks = shunt::workers_of(c.next);
    for (std::size_t p = 0; p < ranks.size(); ++p)
      pipelines.push_back(
          {{"worker_of_stage", workers(ranks[p])}, {"microbatches", c.next.job.microbatches[p]}});
    all.push_back({{"iteration", c.iteration},
                   {"dead", workers(c.dead)},
                   {"waiting", workers(c.waiting)},
                   {"pipelines", std::move(pipelines)},
                   {"stages_copied", c.copies},
                   {"bytes_copied", c.bytes},
                   {"iterations_redone", c.redone},
                   {"transition_ns", c.took}});
  }
  return all;
}

/// Adds what the changes of a run cost to its page and its summary.
inline void write_changes(shunt::html_page& page, nlohmann::ordered_json& summary,
                          shunt::pipeline_job const& job,
                          std::vector<shunt::rearrangement> const& changes) {
  summary["changes"] = json_of(job, changes);
  std::vector<std::vector<std::string>> rows;
  for (auto const& c : changes)
    rows.push_back({std::to_string(c.iteration), describe(job, c.dead),
                    std::to_string(c.next.job.pipelines), std::to_string(c.waiting.size()),
                    std::to_string(c.copies), std::to_string(c.bytes), std::to_string(c.redone),
                    format("%.2f", milliseconds(c.took))});
  page.section("Changes")
      .prose("What it cost to give the live workers other parts.")
      .table({"from iteration", "dead", "pipelines", "waiting", "stages copied", "bytes copied",
              "iterations done again", "transition, ms"},
             rows);
}

inline constexpr std::int32_t iterations_shown =
    2;  ///< of a steady state: enough to see how one meets the next

/// What a plan promises for some iterations of its steady state.
inline shunt::gantt promised_chart(shunt::planned_iteration const& p,
                                   std::chrono::nanoseconds unit) {
  auto all = shunt::steady_timeline(p.schedule, shunt::steady_times(p.job, p.schedule),
                                    p.period * p.parts, iterations_shown);
  all.seconds_per_tick = std::chrono::duration<double>(unit).count() / static_cast<double>(p.parts);
  return shunt::gantt_of(p.job, all);
}

/// A chart in a file of its own and on the page.
inline void show(shunt::output_folder const& folder, shunt::html_page& page,
                 std::string const& file, shunt::gantt const& chart, std::string const& title,
                 std::string const& caption) {
  auto const svg =
      shunt::rendered([&](std::ostream& out) { shunt::write_svg(out, chart, {.title = title}); });
  folder.text(file + ".svg", svg);
  page.figure(svg, caption);
}

/// Shows the last steady iterations of every session that had some, and the one in which a worker
/// was lost.
inline void show_sessions(shunt::output_folder const& folder, shunt::html_page& page,
                          options const& o, run_record const& record) {
  auto const& report = record.report;
  for (std::size_t n = 0; n < report.sessions.size(); ++n) {
    auto const& s = report.sessions[n];
    auto const& plan = record.plan_of(s);
    auto complete = std::numeric_limits<std::int32_t>::max();
    for (shunt::rank_id r : shunt::ids<shunt::rank_id>(s.result.done.size()))
      complete = std::min(complete, s.result.done[r].programs);
    auto const measured = [&](shunt::pipeline_job const& job, std::int32_t first,
                              std::string const& name, std::string const& caption) {
      auto const chart = gantt_of(job, iterations_of(s.result.timeline, first, first + 1));
      show(folder, page, "measured_" + name, chart, "measured: " + caption, "Measured: " + caption);
    };
    auto const dead = std::to_string(s.dead.size());
    auto const with = s.dead.empty() ? "all workers" : dead + " dead";
    auto const name = std::to_string(n) + "_" + dead + "_dead";
    if (complete >= iterations_shown) {
      auto const last = s.first + complete - 1;
      auto const slow = text_of(slow_in(o, last));
      auto const workers = slow.empty() ? std::string(with)
                                        : with + (plan.parts > 1 ? ", planned for " + slow
                                                                 : ", not planned for " + slow);
      std::string const caption = "iterations " + std::to_string(last - iterations_shown + 1) +
                                  " and " + std::to_string(last) + ", " + workers;
      show(folder, page, "planned_" + name, promised_chart(plan, o.training.unit),
           "planned: " + workers, "Planned: the steady state of " + caption);
      measured(plan.job, complete - iterations_shown, name, caption);
    }
    if (s.result.lost.empty()) continue;
    auto job = plan.job;
    for (auto const r : s.result.lost) job.dead.push_back(job.worker_of(r));
    measured(job, complete, name + "_lost",
             "the iteration in which " + describe(job, s.result.lost) + " fell silent, " +
                 std::to_string(s.first + complete) +
                 ": the others stop where they need what never comes");
  }
}

/// The files of a training run; `undisturbed` are the losses without failures.
template <class Run>
void write_files(shunt::output_folder const& folder, options const& o, Run& run,
                 run_record const& record, std::vector<double> const& undisturbed) {
  auto const& result = record.report;
  auto const& job = o.training.job;
  double const unit_ms = std::chrono::duration<double, std::milli>(o.training.unit).count();
  shunt::line_chart loss{
      .title = "Loss with and without failures", .x_label = "iteration", .y_label = "nats a byte"};
  loss.lines = {{.name = "with failures"}, {.name = "without", .dashed = true}};
  std::ostringstream csv;
  csv << "iteration,loss,undisturbed_loss,live,planned_units,measured_ms,slow\n";
  for (auto const& i : run.iterations()) {
    loss.lines[0].points.emplace_back(static_cast<double>(i.iteration), i.loss);
    csv << i.iteration << ","
        << format("%.17g,%.17g", i.loss, undisturbed[static_cast<std::size_t>(i.iteration)]) << ","
        << i.live << "," << i.planned << ","
        << (i.took ? format("%.4f", milliseconds(*i.took)) : "") << ","
        << text_of(slow_in(o, i.iteration), ' ') << "\n";
  }
  for (std::size_t i = 0; i < undisturbed.size(); ++i)
    loss.lines[1].points.emplace_back(static_cast<double>(i), undisturbed[i]);
  for (auto const& l : result.losses)
    loss.events.emplace_back(static_cast<double>(l.iteration), describe(job, l.ranks) + " lost");
  for (auto const& j : result.joined)
    loss.events.emplace_back(static_cast<double>(j.iteration),
                             shunt::describe(job.worker_of(j.rank)) + " joins");
  auto const loss_svg = shunt::rendered([&](std::ostream& out) { shunt::write_svg(out, loss); });
  folder.text("loss.svg", loss_svg);
  folder.text("losses.csv", csv.str());
  shunt::trace_style trace;
  for (shunt::rank_id r : shunt::ids<shunt::rank_id>(job.ranks()))
    trace.rank_names.push_back("worker " + shunt::describe(job.worker_of(r)));
  folder.file("trace.json", [&](std::ostream& out) {
    shunt::write_trace(out, shunt::timeline_of(result), trace);
  });

  bool same = run.iterations().size() == undisturbed.size();
  for (auto const& i : run.iterations())
    same = same && i.loss == undisturbed[static_cast<std::size_t>(i.iteration)];
  shunt::html_page page("Training through failures");
  nlohmann::ordered_json const counts = job.microbatches.values();
  nlohmann::ordered_json summary{{"pipelines", job.pipelines},
                                 {"stages", job.stages},
                                 {"microbatches", counts.size() == 1 ? counts[0] : counts},
                                 {"policy", o.policy},
                                 {"identical", same},
                                 {"unit_ms", unit_ms}};
  page.prose(format(
      "%d pipelines of %d stages train on %s micro-batches each; %zu workers were lost on the way "
      "and %zu came back. The losses of all %zu iterations are %s as without failures.",
      job.pipelines, job.stages, text_of(job.microbatches), result.losses.size(),
      result.joined.size(), run.iterations().size(), same ? "the same bits" : "NOT the same"));
  page.figure(loss_svg, "The loss of every iteration; the two lines coincide.");
  std::vector<std::vector<std::string>> rows;
  summary["iterations"] = nlohmann::ordered_json::array();
  for (auto const& i : run.iterations()) {
    auto const planned_ms = format("%.1f", static_cast<double>(i.planned) * unit_ms);
    rows.push_back({std::to_string(i.iteration), format("%.17g", i.loss), std::to_string(i.live),
                    unit_ms > 0 ? planned_ms : format("%lld units", i.planned),
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
  write_slow(folder, page, summary, o, run.iterations(), record);
  page.section("Recoveries")
      .prose("Milliseconds from the last sign of life to the end of the iteration that was done "
             "again.")
      .table({"lost", "iteration", "detect", "agree", "restore", "re-plan", "redo", "steps undone",
              "instructions lost"},
             rows);
  if constexpr (has_policy<Run>)
    write_changes(page, summary, job, run.changes());
  else
    show_sessions(folder, page.section("Schedules"), o, record);
  folder.file("train.json", [&](std::ostream& out) { shunt::print_json(out, summary); });
  folder.file("train.html", [&](std::ostream& out) { out << page; });
}

/// The files of a comparison of schedules.
inline void write_files(shunt::output_folder const& folder, options const& o,
                        std::vector<measured_variant> const& all) {
  shunt::html_page page("Planned and measured periods");
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
    auto const number = std::to_string(n);
    page.section(v.name);
    show(folder, page, "planned_variant_" + number, promised_chart(v.plan, o.training.unit),
         "planned: " + v.name, "Planned");
    show(folder, page, "measured_variant_" + number, gantt_of(v.plan.job, v.last),
         "measured: " + v.name, "Measured");
  }
  folder.file("variants.json", [&](std::ostream& out) { shunt::print_json(out, summary); });
  folder.file("variants.html", [&](std::ostream& out) { out << page; });
}

}  // namespace example
