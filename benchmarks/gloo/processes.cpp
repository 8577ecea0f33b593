// What the executor of processes costs by itself: two of them over Gloo, on this machine's own
// address.
#include <benchmark/benchmark.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <memory>
#include <string>

#include "../idle_programs.hpp"
#include "shunt/core/id.hpp"
#include "shunt/core/units.hpp"
#include "shunt/execute/executor.hpp"
#include "shunt/execute/transport.hpp"
#include "shunt/gloo/config.hpp"
#include "shunt/gloo/executor.hpp"
#include "shunt/program/program.hpp"
#include "shunt/program/timeline.hpp"

namespace {

using namespace shunt;

/// A session of two processes, of which this one is rank 1: from the end of the first program, when
/// both are there, to that of the last.
ticks time_of_session(program const& p, int programs) {
  std::string directory = (std::filesystem::temp_directory_path() / "shunt.XXXXXX").string();
  if (mkdtemp(directory.data()) == nullptr) throw rendezvous_failed(directory + ": can't be made");
  auto const run = [&](rank_id self) {
    std::signal(SIGPIPE, SIG_IGN);
    idle::work w(2);
    gloo_executor const here({.directory = directory}, 2, self);
    auto session = here.open(w);
    for (int n = 0; n <= programs; ++n) session.submit(non_owning(p));
    return session.wait();
  };
  pid_t const child = fork();
  if (child == 0) {
    try {
      (void)run(0);
    } catch (std::exception const&) {  // the other one misses it
    }
    _exit(0);
  }
  auto const all = run(1);
  waitpid(child, nullptr, 0);
  std::filesystem::remove_all(directory);
  if (!all.lost.empty()) throw peer_lost(all.lost.front());
  ticks begun = 0;
  for (event const& e : all.timeline.events)
    if (e.iteration == 0) begun = e.end;
  return all.timeline.events.back().end - begun;
}

/// The time of an instruction of rank 1's, or of so many together.
void run_sessions(benchmark::State& state, std::shared_ptr<program const> const& p,
                  int together = 1) try {
  constexpr int programs = 10;
  idle::time_parts(state,
                   static_cast<double>(p->ranks[1].instructions.size()) * programs / together,
                   [&] { return time_of_session(*p, programs); });
} catch (std::exception const& error) {
  state.SkipWithError(error.what());
}

void processes_computes(benchmark::State& state) { run_sessions(state, idle::computes(2, 10000)); }
void processes_messages(benchmark::State& state) {
  run_sessions(state, idle::messages(5000, state.range(0)));
}
void processes_ping_pong(benchmark::State& state) { run_sessions(state, idle::ping_pong(500), 2); }

BENCHMARK(processes_computes)->Unit(benchmark::kMillisecond)->UseRealTime()->Iterations(9);
BENCHMARK(processes_messages)
    ->Arg(64)
    ->Arg(2048)
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime()
    ->Iterations(9);
BENCHMARK(processes_ping_pong)->Unit(benchmark::kMillisecond)->UseRealTime()->Iterations(9);

}  // namespace
