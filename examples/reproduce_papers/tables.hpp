#pragma once
/// What must agree with others' figures before a table is worth reading.
/// Throughput of all systems over traces, and what the ratio of two depends on.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <fstream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "artifact.hpp"
#include "cli.hpp"
#include "closed_forms.hpp"
#include "policies.hpp"
#include "published.hpp"
#include "shunt/core.hpp"
#include "shunt/io.hpp"
#include "shunt/measure.hpp"
#include "shunt/problem.hpp"

namespace reproduce_papers {

using namespace example;

/// A trace and its name.
struct named_trace {
  std::string name{};
  shunt::failure_trace trace{};
};

/// The artifact's rules on its traces, samples/s.
struct artifact_check {
  std::string_view system{}, model{};
  std::vector<double> recorded{}, shipped{}, repaired{};

  /// Returns the largest relative difference between the recorded and the shipped means.
  double error() const {
    double worst = 0;
    for (std::size_t k = 0; k < recorded.size(); ++k) {
      double const off = std::abs(shipped[k] - recorded[k]);
      if (off > .0005) worst = std::max(worst, off / std::max(recorded[k], .001));
    }
    return worst;
  }
};

/// Requires the traces of trace_names, in that order.
inline std::vector<artifact_check> check_artifact(std::vector<named_trace> const& traces) {
  std::vector<artifact_check> all;
  auto const add = [&]<class Simulator>(std::string_view system, auto const& tables, Simulator*) {
    for (auto const& t : tables) {
      artifact_check row{.system = system, .model = t.table.model};
      for (std::size_t k = 0; k < traces.size(); ++k) {
        row.recorded.push_back(t.means[k]);
        row.shipped.push_back(Simulator(traces[k].trace, t.table, true).mean());
        row.repaired.push_back(Simulator(traces[k].trace, t.table, false).mean());
      }
      all.push_back(std::move(row));
    }
  };
  add("Oobleck", oobleck_tables, static_cast<artifact_oobleck*>(nullptr));
  add("Varuna", varuna_tables, static_cast<artifact_varuna*>(nullptr));
  add("Bamboo", bamboo_tables, static_cast<artifact_bamboo*>(nullptr));
  return all;
}

/// The mean of a curve over the authors' trace: `of(k)` is the throughput on 24 - k GPUs.
template <class Curve>
double mean_over_counts(Curve const& of) {
  double work = 0, seconds = 0;
  for (std::size_t k = 0; k < seconds_of_counts.size(); ++k) {
    work += seconds_of_counts[k] * of(k);
    seconds += seconds_of_counts[k];
  }
  return work / seconds;
}
inline double published_mean(std::array<double, 10> const& curve) {
  return mean_over_counts([&](std::size_t k) { return curve[k]; });
}
inline double scaled_mean(std::array<double, 10> const& curve) {
  return mean_over_counts(
      [&](std::size_t k) { return curve[0] * static_cast<double>(24 - k) / 24; });
}

/// How far a curve is from another, both relative to their first points.
struct curve_fit {
  double rms = 0, worst = 0;
};
template <class Ours, class Points>
curve_fit distance(Ours const& ours, Points const& points) {
  curve_fit fit;
  std::size_t n = 0;
  for (; n < points.size(); ++n) {
    double const off = ours(static_cast<std::int32_t>(n)) - points[n] / points[0];
    fit.rms += off * off;
    fit.worst = std::max(fit.worst, std::abs(off));
  }
  fit.rms = std::sqrt(fit.rms / static_cast<double>(n));
  return fit;
}

/// The closed form that fits a published curve best: micro-batches, and the share of an iteration
/// that each failure adds beside it.
struct closed_form_fit {
  std::int32_t microbatches = 0;
  double a_failure = 0;
  curve_fit fit{};
};
inline closed_form_fit fit_closed_form(std::array<double, 10> const& points) {
  closed_form_fit best{.fit = {.rms = 1e9}};
  for (std::int32_t m = 4; m <= 48; ++m)
    for (int thousandths = 0; thousandths <= 30; ++thousandths) {
      testbed const t{.microbatches = m};
      double const each = thousandths / 1000.0;
      auto const fit = distance(
          [&](std::int32_t n) { return published_slipstream(t, n) / (1 + each * n); }, points);
      if (fit.rms < best.fit.rms) best = {m, each, fit};
    }
  return best;
}

/// Templates by formula against Oobleck's own throughput on 30 .. 15 nodes: GPT-3 medium.
struct template_fit {
  curve_fit templates{}, scaled{};
};
inline template_fit fit_templates() {
  testbed const t{.pipelines = 15, .stages = 2, .microbatches = 32, .layers = 24, .least = 1};
  auto const& points = oobleck_tables[2].table.rate;
  auto const rate = [&](std::int32_t n) {
    return best_templates(t, pipeline_order::one_f_one_b, t.nodes() - n).rate;
  };
  double const whole = rate(0);
  return {distance([&](std::int32_t n) { return rate(n) / whole; }, points),
          distance([&](std::int32_t n) { return fault_scaled(t, n); }, points)};
}

/// A system over all traces of a table.
struct table_row {
  opponent system;
  std::vector<shunt::trace_result> runs{};  ///< by trace; none where it does not fit into memory

  double mean(std::size_t trace) const { return runs.empty() ? 0 : runs[trace].mean(); }
};

/// All systems over traces with the costs of one model.
struct throughput_table {
  testbed of{};
  bamboo_rates redundancy = bamboo_rates::scheduled;
  published_costs costs{};
  double iteration = 0;  ///< seconds
  std::vector<std::string> traces{};
  std::vector<table_row> rows{};

  table_row const& row(std::string_view name) const {
    return *std::find_if(rows.begin(), rows.end(),
                         [&](table_row const& r) { return r.system.name == name; });
  }
  /// Returns a row's throughput over that of Oobleck.
  double ratio(table_row const& r, std::size_t trace) const {
    return r.mean(trace) / row(row_oobleck).mean(trace);
  }
};

inline throughput_table throughput(steady_states const& at, published_costs const& costs,
                                   double iteration, std::vector<named_trace> const& traces) {
  throughput_table table{
      .of = at.of, .redundancy = at.redundancy, .costs = costs, .iteration = iteration};
  for (auto const& t : traces) table.traces.push_back(t.name);
  for (auto& system : opponents(at, costs, iteration)) {
    table_row row{.system = std::move(system)};
    if (row.system.fits)
      for (auto const& t : traces)
        row.runs.push_back(
            shunt::replay(t.trace, row.system.policy, row.system.changes, row.system.costs));
    table.rows.push_back(std::move(row));
  }
  return table;
}

/// A system over the authors' trace of 24 nodes: its rates, and what changes cost it.
struct steady_row {
  std::string name{};
  rate_source source = rate_source::closed_form;
  std::vector<double> steady{}, charged{};  ///< by the number of micro-batches
};
inline constexpr std::array<std::int32_t, 3> steady_microbatches{6, 12, 24};

/// Returns what the changes over the authors' trace take from a system's mean rate. The chart says
/// how long there are 24, 23 .. 15 nodes and how often the number changes: a change begins at each
/// number in proportion to its time, and loses or adds one node, alike where both can be.
inline double lost_to_changes(opponent const& system, std::int32_t nodes) {
  auto const last = std::ssize(seconds_of_counts) - 1;
  double seconds = 0, lost = 0;
  for (std::ptrdiff_t k = 0; k <= last; ++k) {
    auto const live = nodes - static_cast<std::int32_t>(k);
    double of_k = 0;
    if (k < last) {
      auto const cost = system.changes(live, live - 1, live - 1);
      of_k += cost.lose * system.costs.iteration + cost.stop * system.policy.of(live - 1).rate;
    }
    if (k > 0) of_k += system.changes(live, live, live + 1).join * system.policy.of(live + 1).rate;
    if (k > 0 && k < last) of_k /= 2;
    lost += seconds_of_counts[static_cast<std::size_t>(k)] * of_k;
    seconds += seconds_of_counts[static_cast<std::size_t>(k)];
  }
  return changes_of_counts * lost / seconds / seconds;
}

/// The systems of the tables on D = 6, S = 4, L = 32, by micro-batches, with the costs of changes
/// of the largest model; Oobleck pays for its copies as the others do.
inline std::vector<steady_row> steady_over_counts(double iteration) {
  std::vector<steady_row> all;
  for (auto const m : steady_microbatches) {
    steady_states const at({.microbatches = m});
    auto const systems = opponents(at, models.back(), iteration, oobleck_cost::copies);
    std::size_t row = 0;
    for (auto const name : {row_published_aborted, row_aborted, row_salvaged, row_oobleck,
                            row_zero_bubble, row_best, row_ideal}) {
      auto const& system = *std::find_if(systems.begin(), systems.end(),
                                         [&](opponent const& o) { return o.name == name; });
      double const mean = mean_over_counts([&](std::size_t k) {
        return system.policy.of(at.of.nodes() - static_cast<std::int32_t>(k)).rate;
      });
      if (m == steady_microbatches.front())
        all.push_back({.name = system.name, .source = system.source});
      all[row].steady.push_back(mean);
      all[row++].charged.push_back(mean - lost_to_changes(system, at.of.nodes()));
    }
  }
  return all;
}

/// The ratio of a row to Oobleck on one trace, where a change stops Oobleck for `stop` seconds.
inline double ratio_at(throughput_table const& table, std::string_view name, named_trace const& on,
                       std::size_t trace, double stop) {
  auto const& oobleck = table.row(row_oobleck).system;
  auto changes = oobleck.changes;
  changes.constant.stop = changes.constant.join = stop;
  return table.row(name).mean(trace) /
         shunt::replay(on.trace, oobleck.policy, changes, oobleck.costs).mean();
}

/// The seconds that a change must cost Oobleck for a ratio, to a second; nothing up to an hour: -1.
inline double stop_for(double ratio, throughput_table const& table, std::string_view name,
                       named_trace const& on, std::size_t trace) {
  if (ratio_at(table, name, on, trace, 0) >= ratio) return 0;
  double low = 0, high = 3600;
  if (ratio_at(table, name, on, trace, high) < ratio) return -1;
  while (high - low > 1) {
    double const middle = (low + high) / 2;
    (ratio_at(table, name, on, trace, middle) < ratio ? low : high) = middle;
  }
  return high;
}

inline constexpr std::array<double, 8> stops{0, 3, 10, 30, 60, 90, 120, 150};  ///< seconds
inline constexpr std::array<double, 2> claims{1.20, 1.46};  ///< of SlipStream over Oobleck

/// The ratio of SlipStream to Oobleck by what a change costs Oobleck.
struct lever {
  std::string trace{};
  std::array<double, stops.size()> published{}, salvaged{};
  std::array<double, claims.size()> needed{};  ///< stop for each claim, of the published row; -1
};
inline std::vector<lever> levers(throughput_table const& table,
                                 std::vector<named_trace> const& traces) {
  std::vector<lever> all;
  for (std::size_t k = 0; k < traces.size(); ++k) {
    lever one{.trace = traces[k].name};
    for (std::size_t s = 0; s < stops.size(); ++s) {
      one.published[s] = ratio_at(table, row_published, traces[k], k, stops[s]);
      one.salvaged[s] = ratio_at(table, row_salvaged, traces[k], k, stops[s]);
    }
    for (std::size_t c = 0; c < claims.size(); ++c)
      one.needed[c] = stop_for(claims[c], table, row_published, traces[k], k);
    all.push_back(std::move(one));
  }
  return all;
}

/// All that the program finds.
struct findings {
  std::vector<artifact_check> artifact{};
  /// Varuna's GPT-3 medium by the artifact's rules where it falls back, samples/s.
  std::vector<double> falling_back{};
  std::vector<throughput_table> tables{};
  /// Of the tables with the costs of the largest model, by their index.
  std::vector<std::pair<std::size_t, std::vector<lever>>> ratios{};
  std::vector<steady_row> steady{};
};

/// The traces of a folder, in the order of trace_names. Throws invalid_problem, which names file,
/// row and value.
inline std::vector<named_trace> read_traces(std::string const& folder) {
  std::vector<named_trace> all;
  for (auto const name : trace_names)
    all.push_back({std::string(name),
                   shunt::read_failure_csv_file(folder + "/" + std::string(name) + ".csv")});
  return all;
}

/// A curve of live nodes under the name of its file.
inline named_trace read_availability(std::string const& path) {
  auto name = path.substr(path.find_last_of('/') + 1);
  return {name.substr(0, name.find('.')), shunt::read_live_counts_csv_file(path)};
}

}  // namespace reproduce_papers
