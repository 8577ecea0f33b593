#pragma once
// A table of targets, printed after the benchmarks that it speaks of have run: what is wanted, what
// others reach, what came out here.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <iostream>
#include <limits>
#include <map>
#include <regex>
#include <string>
#include <utility>
#include <vector>

namespace targets {

inline constexpr double no_limit = std::numeric_limits<double>::quiet_NaN();

/// A row takes its figure from all runs whose names match: the time of an iteration, or a counter;
/// of several the worst.
struct row {
  std::string what{};
  std::string peers{};
  std::string runs{};     ///< regular expression
  std::string counter{};  ///< empty: the time
  std::vector<std::string>
      beside{};      ///< counters shown beside it with their names, the least for example
  double limit = 0;  ///< in microseconds, for a time; or no_limit
  enum class side { at_most, at_least } wanted = side::at_most;
  std::string unit{};       ///< of a counter
  int digits = 4;           ///< of a counter
  std::string elsewhere{};  ///< who measures what this program doesn't
};

/// "12.3 us", "4.56 ms"
inline std::string shown(row const& r, double value) {
  char text[64];
  if (!r.counter.empty())
    std::snprintf(text, sizeof text, "%.*g%s%s", r.digits, value,
                  r.unit.empty() || r.unit == "%" ? "" : " ", r.unit.c_str());
  else if (value < 1000)
    std::snprintf(text, sizeof text, "%.3g us", value);
  else if (value < 1e6)
    std::snprintf(text, sizeof text, "%.3g ms", value / 1e3);
  else
    std::snprintf(text, sizeof text, "%.3g s", value / 1e6);
  return text;
}

/// Prints runs as the console does, then the table as Markdown.
class reporter : public benchmark::ConsoleReporter {
 public:
  explicit reporter(std::vector<row> rows)
      : benchmark::ConsoleReporter(OO_None),
        rows_(std::move(rows)),
        found_(rows_.size()),
        beside_(rows_.size()) {}

  void ReportRuns(std::vector<Run> const& runs) override {
    benchmark::ConsoleReporter::ReportRuns(runs);
    for (Run const& run : runs) {
      if (run.error_occurred ||
          (run.run_type == Run::RT_Aggregate && run.aggregate_name != "median"))
        continue;
      for (std::size_t i = 0; i < rows_.size(); ++i) {
        if (!std::regex_match(run.run_name.str(), std::regex(rows_[i].runs))) continue;
        if (rows_[i].counter.empty()) {
          double const micro = 1e6 * run.real_accumulated_time /
                               static_cast<double>(std::max<std::int64_t>(1, run.iterations));
          found_[i].push_back(run.run_type == Run::RT_Aggregate
                                  ? 1e6 * run.GetAdjustedRealTime() /
                                        benchmark::GetTimeUnitMultiplier(run.time_unit)
                                  : micro);
        } else if (auto const at = run.counters.find(rows_[i].counter); at != run.counters.end()) {
          found_[i].push_back(at->second.value);
          for (auto const& name : rows_[i].beside)
            if (auto const other = run.counters.find(name); other != run.counters.end())
              beside_[i][name] = std::max(beside_[i][name], other->second.value);
        }
      }
    }
  }

  void Finalize() override {
    std::cout << "\n| what | target | others | here | |\n|---|---|---|---|---|\n";
    for (std::size_t i = 0; i < rows_.size(); ++i) {
      row const& r = rows_[i];
      bool const most = r.wanted == row::side::at_most;
      bool const wanted = !std::isnan(r.limit);
      std::cout << "| " << r.what << " | "
                << (wanted ? (most ? "at most " : "at least ") + shown(r, r.limit) : "") << " | "
                << r.peers << " | ";
      if (found_[i].empty()) {
        std::cout << "not run" << (r.elsewhere.empty() ? "" : ": ") << r.elsewhere << " | |\n";
        continue;
      }
      double const worst = most ? *std::max_element(found_[i].begin(), found_[i].end())
                                : *std::min_element(found_[i].begin(), found_[i].end());
      bool const met = most ? worst <= r.limit * (1 + 1e-9) : worst >= r.limit * (1 - 1e-9);
      std::cout << shown(r, worst);
      for (auto const& name : r.beside)
        if (auto const other = beside_[i].find(name); other != beside_[i].end())
          std::cout << ", " << name << " " << shown(r, other->second);
      std::cout << " | " << (!wanted ? "" : met ? "met" : "missed") << " |\n";
    }
  }

 private:
  std::vector<row> rows_;
  std::vector<std::vector<double>> found_;
  std::vector<std::map<std::string, double>> beside_;
};

/// main of a table.
inline int run(int argc, char** argv, std::vector<row> rows) {
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  reporter table(std::move(rows));
  benchmark::RunSpecifiedBenchmarks(&table);
  return 0;
}

}  // namespace targets
