#pragma once
// Rows of a table: a pass of this library against a pass of a plain reference, timed in turn.
#include <benchmark/benchmark.h>
#include <time.h>

#include <algorithm>
#include <cstddef>
#include <cstdio>
#include <exception>
#include <functional>
#include <string>
#include <vector>

namespace score {

/// Two passes that do the same work.
struct contest {
  std::function<void()> ours, reference;
  double parts = 1;  ///< of a pass; times are shown for one of them
};

/// Times that a row counts: of one thread, which leaves out what else the machine does, or of the
/// clock, where threads wait for each other.
enum class counted : clockid_t { thread = CLOCK_THREAD_CPUTIME_ID, clock = CLOCK_MONOTONIC };

struct row {
  std::string name{};  ///< of the benchmark
  std::string what{}, reference{};
  double target = 0;    ///< the least ratio of the reference's time to ours
  std::string peers{};  ///< their own figures, and on which machine
  /// Builds the inputs. Throws where the two passes do not give the same.
  std::function<contest()> prepare{};
  counted time = counted::thread;

  std::vector<double> ours{}, theirs{};  ///< of each pair of passes, in nanoseconds
  std::vector<double> ratios{};          ///< of each pair; empty where the row failed
  bool ran = false;
};

inline constexpr int pairs = 40;

inline double median(std::vector<double> values) {
  auto const middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

inline bool met(row const& r) { return !r.ratios.empty() && median(r.ratios) >= r.target; }

/// "12.3 us", "4.56 ms"
inline std::string shown(double nanoseconds) {
  static constexpr char const* units[] = {"ns", "us", "ms", "s"};
  std::size_t unit = 0;
  for (; nanoseconds >= 1000 && unit < 3; ++unit) nanoseconds /= 1000;
  char text[32];
  std::snprintf(text, sizeof text, "%.3g %s", nanoseconds, units[unit]);
  return text;
}

/// Measures a row: one pair without a clock, then one pair an iteration, of which ours and the
/// reference come first in turn.
inline void measure(benchmark::State& state, row& r) try {
  r.ran = true;
  auto const [ours, reference, parts] = r.prepare();
  auto const timed = [&](std::function<void()> const& pass) {
    auto const now = [&] {
      timespec t{};
      clock_gettime(static_cast<clockid_t>(r.time), &t);
      return 1e9 * static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec);
    };
    double const start = now();
    pass();
    return (now() - start) / parts;
  };
  ours();
  reference();
  r.ours.clear(), r.theirs.clear(), r.ratios.clear();
  for (auto _ : state) {
    bool const ours_first = r.ratios.size() % 2 == 0;
    if (ours_first) r.ours.push_back(timed(ours));
    r.theirs.push_back(timed(reference));
    if (!ours_first) r.ours.push_back(timed(ours));
    r.ratios.push_back(r.theirs.back() / r.ours.back());
    state.SetIterationTime(1e-9 * parts * r.ours.back());
  }
  state.counters["ratio"] = median(r.ratios);
} catch (std::exception const& error) {
  r.ratios.clear();
  state.SkipWithError(error.what());
}

/// Prints the rows that ran, as Markdown.
inline void print(std::vector<row> const& rows) {
  std::printf("\n| what | ours | reference | | ratio | target | | peers |\n"
              "|---|---|---|---|---|---|---|---|\n");
  for (row const& r : rows)
    if (!r.ratios.empty())
      std::printf("| %s | %s | %s | %s | %.2f | %g | %s | %s |\n", r.what.c_str(),
                  shown(median(r.ours)).c_str(), r.reference.c_str(),
                  shown(median(r.theirs)).c_str(), median(r.ratios), r.target,
                  met(r) ? "met" : "missed", r.peers.c_str());
}

/// main of a scoreboard. With `--strict` the status is 1 where a row that ran is missed or failed.
inline int run(int argc, char** argv, std::vector<row> rows) {
  char** const end = std::remove(argv + 1, argv + argc, std::string("--strict"));
  bool const strict = end != argv + argc;
  argc = static_cast<int>(end - argv);
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  for (row& r : rows)
    benchmark::RegisterBenchmark(r.name.c_str(),
                                 [&r](benchmark::State& state) { measure(state, r); })
        ->Iterations(pairs)
        ->UseManualTime();
  benchmark::RunSpecifiedBenchmarks();
  if (std::ranges::any_of(rows, &row::ran)) print(rows);
  auto const missed = [](row const& r) { return r.ran && !met(r); };
  return strict && std::ranges::any_of(rows, missed) ? 1 : 0;
}

}  // namespace score
