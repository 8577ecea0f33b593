#pragma once
/// What the program finds, as JSON.
#include <cstddef>
#include <nlohmann/json.hpp>
#include <optional>
#include <ostream>
#include <string>
#include <utility>

#include "json_lines.hpp"
#include "tables.hpp"
#include "time_to_loss.hpp"
#include "validation.hpp"

namespace reproduce_papers {

[[nodiscard]] inline nlohmann::ordered_json json_of(curve_fit const& fit) {
  return {{"rms", fit.rms}, {"worst", fit.worst}};
}

[[nodiscard]] inline nlohmann::ordered_json json_of(shunt::trace_result const& run) {
  nlohmann::ordered_json out{{"mean", run.mean()},
                             {"seconds", run.seconds},
                             {"done", run.done},
                             {"lost",
                              {{"degraded", run.lost.degraded},
                               {"without_plan", run.lost.without_plan},
                               {"aborted", run.lost.aborted},
                               {"rolled_back", run.lost.rolled_back},
                               {"stopped", run.lost.stopped},
                               {"joined", run.lost.joined},
                               {"checkpoints", run.lost.checkpoints}}}};
  if (run.ended)
    out["no_plan"] = {{"event", run.ended->event}, {"why", std::string(run.ended->why)}};
  return out;
}

inline void write_json(std::ostream& out, findings const& found,
                       std::optional<example::system_table> const& experts) {
  using json = nlohmann::ordered_json;
  json all{{"artifact", json::array()},
           {"curves", json::array()},
           {"tables", json::array()},
           {"ratios", json::array()}};
  for (auto const& row : found.artifact)
    all["artifact"].push_back({{"system", row.system},
                               {"model", row.model},
                               {"traces", trace_names},
                               {"recorded", row.recorded},
                               {"shipped", row.shipped},
                               {"repaired", row.repaired},
                               {"error", row.error()}});
  auto const curve = [&](std::string const& name, auto const& points, double printed) {
    auto const fit = fit_closed_form(points);
    all["curves"].push_back({{"model", name},
                             {"mean", published_mean(points)},
                             {"printed", printed},
                             {"fault_scaled", scaled_mean(points)},
                             {"microbatches", fit.microbatches},
                             {"a_failure", fit.a_failure},
                             {"rms", fit.fit.rms},
                             {"worst", fit.fit.worst}});
  };
  curve("GPT-3 3.5B / 6.7B", slipstream_large, slipstream_large_mean);
  curve("GPT-3 350M", slipstream_350m, slipstream_350m_mean);
  auto const templates = fit_templates();
  all["templates"] = json_of(templates.templates);
  all["templates"]["fault_scaled_rms"] = templates.scaled.rms;
  for (auto const& table : found.tables)
    for (auto const& row : table.rows)
      for (std::size_t k = 0; k < row.runs.size(); ++k) {
        json one{{"pipelines", table.of.pipelines},
                 {"stages", table.of.stages},
                 {"microbatches", table.of.microbatches},
                 {"model", table.costs.model},
                 {"trace", table.traces[k]},
                 {"system", row.system.name},
                 {"solver", row.system.source == rate_source::solver},
                 {"to_oobleck", table.ratio(row, k)}};
        one.update(json_of(row.runs[k]));
        all["tables"].push_back(std::move(one));
      }
  for (auto const& [table, rows] : found.ratios)
    for (auto const& one : rows)
      all["ratios"].push_back({{"microbatches", found.tables[table].of.microbatches},
                               {"model", found.tables[table].costs.model},
                               {"trace", one.trace},
                               {"stops", stops},
                               {"published", one.published},
                               {"salvaged", one.salvaged},
                               {"claims", claims},
                               {"needed", one.needed}});
  if (experts) all["experts"] = json_of(*experts);
  example::print_json(out, all);
}

}  // namespace reproduce_papers
