#pragma once
/// Throughput of all systems over traces, and what the ratio of two depends on.
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "policies.hpp"
#include "shunt/measure/trace_replay.hpp"
#include "validation.hpp"

namespace reproduce_papers {

/// A system over all traces of a table.
struct table_row {
  opponent system;
  std::vector<shunt::trace_result> runs{};  ///< by trace; none where it does not fit into memory

  [[nodiscard]] double mean(std::size_t trace) const {
    return runs.empty() ? 0 : runs[trace].mean();
  }
};

/// All systems over traces with the costs of one model.
struct throughput_table {
  testbed of{};
  bamboo_rates redundancy = bamboo_rates::scheduled;
  published_costs costs{};
  double iteration = 0;  ///< seconds
  std::vector<std::string> traces{};
  std::vector<table_row> rows{};

  [[nodiscard]] table_row const& row(std::string_view name) const {
    return *std::find_if(rows.begin(), rows.end(),
                         [&](table_row const& r) { return r.system.name == name; });
  }
  /// Returns a row's throughput over that of Oobleck.
  [[nodiscard]] double ratio(table_row const& r, std::size_t trace) const {
    return r.mean(trace) / row(row_oobleck).mean(trace);
  }
};

[[nodiscard]] inline throughput_table throughput(steady_states const& at,
                                                 published_costs const& costs, double iteration,
                                                 std::vector<named_trace> const& traces) {
  throughput_table table{
      .of = at.of, .redundancy = at.redundancy, .costs = costs, .iteration = iteration};
  for (auto const& t : traces) table.traces.push_back(t.name);
  for (auto& system : opponents(at, costs, iteration)) {
    table_row row{.system = std::move(system)};
    if (row.system.fits)
      for (auto const& t : traces)
        row.runs.push_back(shunt::replay(t.trace, row.system.policy, row.system.costs));
    table.rows.push_back(std::move(row));
  }
  return table;
}

/// The ratio of a row to Oobleck on one trace, where a change stops Oobleck for `stop` seconds.
[[nodiscard]] inline double ratio_at(throughput_table const& table, std::string_view name,
                                     named_trace const& on, std::size_t trace, double stop) {
  auto const& oobleck = table.row(row_oobleck).system;
  auto costs = oobleck.costs;
  costs.stop = costs.join = stop;
  return table.row(name).mean(trace) / shunt::replay(on.trace, oobleck.policy, costs).mean();
}

/// The seconds that a change must cost Oobleck for a ratio, to a second; nothing up to an hour: -1.
[[nodiscard]] inline double stop_for(double ratio, throughput_table const& table,
                                     std::string_view name, named_trace const& on,
                                     std::size_t trace) {
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
[[nodiscard]] inline std::vector<lever> levers(throughput_table const& table,
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
};

}  // namespace reproduce_papers
