#pragma once
/// Slow workers in the files of --out: when they were slow, when they were found, and how long
/// iterations took.
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <ostream>
#include <string>
#include <vector>

#include "comparison.hpp"
#include "options.hpp"
#include "runs.hpp"
#include "shunt/json/print.hpp"
#include "shunt/launch/output_file.hpp"
#include "shunt/shunt.hpp"
#include "slow.hpp"

namespace example {

/// What is known of a worker from an iteration on.
struct found_worker {
  shunt::worker who{};
  shunt::slow_verdict verdict{};
  std::int64_t iteration = 0;  ///< the first that was planned for it
};
inline std::vector<found_worker> found_in(shunt::pipeline_job const& job,
                                          std::vector<pace_change> const& paces) {
  std::vector<found_worker> all;
  for (auto const& change : paces)
    for (std::size_t n = 0; n < change.what.ranks.size(); ++n)
      all.push_back(
          {job.worker_of(change.what.ranks[n]), change.what.verdict(n), change.iteration});
  return all;
}

/// "1:2 found, x2.062"
inline std::string text_of(found_worker const& f) {
  return std::string(shunt::describe(f.who).view()) +
         (f.verdict.slow() ? format(" found, x%.4g", f.verdict.factor()) : " found well");
}

/// Planned and measured periods by iteration, with what happened to workers.
inline shunt::line_chart period_chart(options const& o,
                                      std::vector<shunt::trained_iteration> const& trained,
                                      std::vector<found_worker> const& found,
                                      std::vector<shunt::loss> const& losses) {
  shunt::line_chart chart{.title = "Planned and measured period",
                          .x_label = "iteration",
                          .y_label = "milliseconds",
                          .from_zero = true};
  chart.lines = {{.name = "measured"}, {.name = "planned", .dashed = true}};
  double const unit = std::chrono::duration<double, std::milli>(o.training.unit).count();
  for (auto const& i : trained) {
    auto const x = static_cast<double>(i.iteration);
    if (i.took) chart.lines[0].points.emplace_back(x, milliseconds(*i.took));
    chart.lines[1].points.emplace_back(x, static_cast<double>(i.planned) * unit);
  }
  for (auto const& s : o.slow)
    chart.events.emplace_back(
        static_cast<double>(s.iteration),
        std::string(shunt::describe(s.who).view()) +
            (s.factor > 1 ? format(" slow, x%.4g", s.factor) : std::string(" well")));
  for (auto const& f : found)
    chart.events.emplace_back(static_cast<double>(f.iteration), text_of(f));
  for (auto const& l : losses)
    chart.events.emplace_back(static_cast<double>(l.iteration),
                              describe(o.training.job, l.ranks) + " lost");
  return chart;
}

/// Adds slow workers to a run's page and summary, with a chart in a file of its own; nothing where
/// none was to be slow.
inline void write_slow(shunt::output_folder const& folder, shunt::html_page& page,
                       nlohmann::ordered_json& summary, options const& o,
                       std::vector<shunt::trained_iteration> const& trained,
                       run_record const& record) {
  if (o.slow.empty()) return;
  auto const name = [](shunt::worker w) { return std::string(shunt::describe(w).view()); };
  auto const found = found_in(o.training.job, record.paces);
  auto& slow = summary["slow"] = nlohmann::ordered_json::array();
  for (auto const& s : o.slow)
    slow.push_back({{"worker", name(s.who)}, {"factor", s.factor}, {"iteration", s.iteration}});
  std::vector<std::vector<std::string>> rows;
  auto& named = summary["found"] = nlohmann::ordered_json::array();
  for (auto const& f : found) {
    auto const& v = f.verdict;
    rows.push_back({name(f.who), format("%.4g", v.factor()), format("%.4f", v.confidence),
                    std::to_string(v.iterations), std::to_string(f.iteration)});
    named.push_back({{"worker", name(f.who)},
                     {"factor", v.factor()},
                     {"confidence", v.confidence},
                     {"seen_in_iterations", v.iterations},
                     {"planned_from_iteration", f.iteration}});
  }
  auto const chart = shunt::rendered([&](std::ostream& out) {
    shunt::write_svg(out, period_chart(o, trained, found, record.report.losses));
  });
  folder.text("periods.svg", chart);
  page.section("Slow workers")
      .prose(
          answers_slow(o)
              ? "Workers that became slow, as the run found them by its own times. Micro-batches "
                "then go in proportion to speed."
              : o.policy + " has no answer to slow workers: others wait for them.")
      .figure(chart, "Planned and measured period of every iteration.");
  if (!rows.empty())
    page.table({"worker", "times as slow as planned", "confidence", "seen in iterations",
                "planned for from iteration"},
               rows);
  rows.clear();
  auto& periods = summary["periods"] = nlohmann::ordered_json::array();
  for (auto const& row : periods_of(o, trained)) {
    rows.push_back({row.iterations(), row.slow, std::to_string(row.live),
                    format("%.1f", row.planned), row.took()});
    periods.push_back({{"first", row.first},
                       {"last", row.last},
                       {"slow", row.slow},
                       {"live", row.live},
                       {"planned_ms", row.planned},
                       {"measured_ms", row.measured ? nlohmann::ordered_json(*row.measured)
                                                    : nlohmann::ordered_json()}});
  }
  page.table({"iterations", "slow", "live workers", "planned period, ms", "measured, ms"}, rows);
}

}  // namespace example
