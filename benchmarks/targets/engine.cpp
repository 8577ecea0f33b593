// The targets of the engines, in one table: what executors cost by themselves (the benchmarks of
// executors.cpp and, where there is Gloo, of gloo/processes.cpp), what killed workers cost a run of
// train_through_failures on processes, and what only a GPU can say. SHUNT_BENCHMARK_RUNS says how
// many runs the sweep has, 100 without it, which take minutes; the recoveries by number of workers
// are medians over a tenth as many. Times that processes or threads wait for each other depend on
// what else this machine does: medians, and the least or the most beside them.
#include <benchmark/benchmark.h>
#include <sys/wait.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <regex>
#include <sstream>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "table.hpp"

namespace {

using benchmark::State;

int runs() {
  char const* const given = std::getenv("SHUNT_BENCHMARK_RUNS");
  return given ? std::max(1, std::atoi(given)) : 100;
}

/// What train_through_failures says on processes. Throws runtime_error, with its last line, where
/// its status is neither 0 nor 1.
std::string training(std::int32_t pipelines, std::int32_t stages, std::string const& words) {
  std::string const program = SHUNT_TRAINING_PROGRAM;
  if (program.empty()) throw std::runtime_error("this build has no train_through_failures");
  std::string const command = "'" + program + "' --engine gloo --pipelines " +
                              std::to_string(pipelines) + " --stages " + std::to_string(stages) +
                              " --workers " + std::to_string(pipelines * stages) + " " + words +
                              " 2>&1";
  std::FILE* const pipe = popen(command.c_str(), "r");
  if (!pipe) throw std::runtime_error("can't run: " + command);
  std::string text;
  char block[4096];
  for (std::size_t n; (n = std::fread(block, 1, sizeof block, pipe)) > 0;) text.append(block, n);
  int const status = pclose(pipe);
  if (!WIFEXITED(status) || WEXITSTATUS(status) > 1)
    throw std::runtime_error(text.substr(0, text.find_last_not_of('\n') + 1));
  return text;
}

/// Two workers die, one after the other; milliseconds of each phase, medians, and how many
/// iterations were done again, the most.
void recovery(State& state) try {
  auto const workers = static_cast<std::int32_t>(state.range(0)), stages = workers > 4 ? 4 : 2;
  std::vector<std::string> const phases{"detect", "agree", "restore", "re-plan", "rebuild", "redo"};
  std::map<std::string, std::vector<double>> seen;
  double again = 0, differ = 0;
  for (auto _ : state)
    for (int n = 0; n < std::max(1, runs() / 10); ++n) {
      auto const said = training(workers / stages, stages, "--kill 1:1@3,0:0@6");
      differ += said.find("\nidentical: ") == std::string::npos;
      std::istringstream lines(said);
      for (std::string line; std::getline(lines, line);) {
        std::istringstream row(line);
        std::string lost;
        double from = 0, time = 0;
        std::vector<double> times;
        if (!(row >> lost >> from) || (lost != "1:1" && lost != "0:0")) continue;
        while (times.size() < phases.size() && row >> time) times.push_back(time);
        again = std::max(again, (lost == "1:1" ? 3 : 6) - from + 1);
        for (std::size_t k = 0; k < times.size(); ++k) seen[phases[k]].push_back(times[k]);
      }
    }
  for (auto& [phase, times] : seen) {
    std::sort(times.begin(), times.end());
    state.counters[phase] = times[times.size() / 2];
  }
  state.counters["again"] = again;
  state.counters["differ"] = differ;
} catch (std::exception const& error) {
  state.SkipWithError(error.what());
}

/// Every worker killed alone, then every pair that leaves each stage a worker, at random moments.
void sweep(State& state) try {
  for (auto _ : state) {
    auto const said = training(3, 4, "--sweep " + std::to_string(runs()));
    std::smatch found;
    std::string const number = "([0-9.]+)";
    if (!std::regex_search(said, found,
                           std::regex("sweep: " + number + " runs of 12 workers, " + number +
                                      " finished, " + number + " identical; " + number +
                                      " kills, " + number + " recoveries: detect " + number +
                                      " ms .most " + number + "., [^0-9]* " + number +
                                      " ms .most " + number)))
      throw std::runtime_error("the sweep says nothing of itself");
    std::vector<double> n;
    for (std::size_t i = 1; i < found.size(); ++i) n.push_back(std::stod(found[i]));
    state.counters["runs"] = n[0];
    state.counters["finished"] = 100 * n[1] / n[0];
    state.counters["identical"] = 100 * n[2] / n[0];
    state.counters["kills"] = n[3];
    state.counters["detect"] = n[5];
    state.counters["detect_most"] = n[6];
    state.counters["go_on"] = n[7];
    state.counters["go_on_most"] = n[8];
  }
} catch (std::exception const& error) {
  state.SkipWithError(error.what());
}

BENCHMARK(recovery)
    ->Arg(4)
    ->Arg(8)
    ->Arg(12)
    ->Arg(16)
    ->Arg(24)
    ->Iterations(1)
    ->Unit(benchmark::kSecond)
    ->UseRealTime();
BENCHMARK(sweep)->Iterations(1)->Unit(benchmark::kSecond)->UseRealTime();

}  // namespace

int main(int argc, char** argv) {
  using targets::no_limit;
  using targets::row;
  constexpr auto at_least = row::side::at_least;
  std::string const pytorch = "PyTorch's runtime 730 us an action",
                    on_gpu = "no GPU in this build, tests/gpu/run.sh measures it";
  auto const part = [](std::string what, std::string peers, std::string run, double limit) {
    return row{.what = std::move(what),
               .peers = std::move(peers),
               .runs = std::move(run) + "(/iterations:[0-9]+)?(/real_time)?",
               .counter = "ns",
               .beside = {"least", "cpu"},
               .limit = limit,
               .unit = "ns",
               .digits = 3};
  };
  auto const phases = [](std::string const& workers) {
    return row{.what = workers + " workers, one killed: detect, and the other phases",
               .runs = "recovery/" + workers + "/.*",
               .counter = "detect",
               .beside = {"agree", "re-plan", "rebuild", "redo"},
               .limit = no_limit,
               .unit = "ms",
               .digits = 3};
  };
  auto const swept = [](std::string what, std::string counter, double limit, std::string unit,
                        row::side side) {
    return row{.what = std::move(what),
               .runs = "sweep/.*",
               .counter = std::move(counter),
               .limit = limit,
               .wanted = side,
               .unit = std::move(unit)};
  };
  auto const device = [&](std::string what, std::string peers, double limit, std::string unit,
                          row::side side) {
    return row{.what = std::move(what),
               .peers = std::move(peers),
               .runs = "-",
               .counter = "-",
               .limit = limit,
               .wanted = side,
               .unit = std::move(unit),
               .elsewhere = on_gpu};
  };
  constexpr auto at_most = row::side::at_most;
  return targets::run(
      argc, argv,
      {
          part("inline: an instruction, computing", pytorch, "inline_computes", 50),
          part("inline: an instruction, messages of 64 bytes", pytorch, "inline_messages/64", 50),
          part("inline: an instruction, messages of 2 KiB", "", "inline_messages/2048", no_limit),
          part("threads: an instruction that need not wait, computing", pytorch, "threads_computes",
               1000),
          part("threads: an instruction, messages of 64 bytes one way", pytorch,
               "threads_messages/64", 1000),
          part("threads: an instruction, messages of 2 KiB one way", "", "threads_messages/2048",
               no_limit),
          part("threads: ping-pong, there and back", "", "threads_ping_pong", 5000),
          part("processes over Gloo: an instruction that need not wait, computing", pytorch,
               "processes_computes", no_limit),
          part("processes over Gloo: a message of 64 bytes, one way", "", "processes_messages/64",
               no_limit),
          part("processes over Gloo: a message of 2 KiB, one way", "", "processes_messages/2048",
               no_limit),
          part("processes over Gloo: ping-pong, there and back", "", "processes_ping_pong",
               no_limit),
          swept("12 processes, killed at random moments: detect, median", "detect", 100, "ms",
                at_most),
          swept("the longest of all", "detect_most", 100, "ms", at_most),
          swept("then agree + restore + re-plan + rebuild, median", "go_on", 500, "ms", at_most),
          swept("the longest of all", "go_on_most", 500, "ms", at_most),
          row{.what = "iterations done again, two where the killed worker was one ahead: the most",
              .runs = "recovery/.*",
              .counter = "again",
              .limit = 2},
          swept("the sweep, every worker and every pair: runs", "runs", 100, "", at_least),
          swept("runs that finished", "finished", 100, "%", at_least),
          swept("runs with all losses and parameters bit-identical to the undisturbed run",
                "identical", 100, "%", at_least),
          phases("4"),
          phases("8"),
          phases("12"),
          phases("16"),
          phases("24"),
          row{.what = "of these runs, not bit-identical",
              .runs = "recovery/.*",
              .counter = "differ",
              .limit = 0},
          device("swift_moe on the device, 58 layers x 256 experts x 288 slots, one launch",
                 "UltraEP 67-78 us for one layer", 50, "us", at_most),
          device("eplb on the device, the same", "UltraEP 67-78 us for one layer", 150, "us",
                 at_most),
          device("pack, scatter, Adam kernels: of measured copy bandwidth", "", 90, "%", at_least),
          device("graph launch of a whole step: launches", "", 1, "", at_most),
          device("its host time", "", 20, "us", at_most),
      });
}
