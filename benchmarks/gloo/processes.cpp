// What the executor of processes costs by itself: two of them over Gloo, on this machine's own
// address, and beside it the same messages by bare sends and receives of Gloo.
#include <benchmark/benchmark.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "../idle_programs.hpp"
#include "shunt/core/id.hpp"
#include "shunt/core/units.hpp"
#include "shunt/execute/executor.hpp"
#include "shunt/execute/transport.hpp"
#include "shunt/gloo/config.hpp"
#include "shunt/gloo/detail/connections.hpp"
#include "shunt/gloo/executor.hpp"
#include "shunt/program/program.hpp"
#include "shunt/program/timeline.hpp"

namespace {

using namespace shunt;

constexpr int programs = 10;  ///< of a session, after the one at whose end both are there

/// Runs a part each on two processes that meet in a directory, of which this one is rank 1.
template <class Part>
auto on_two_processes(Part const& part) {
  std::string directory = (std::filesystem::temp_directory_path() / "shunt.XXXXXX").string();
  if (mkdtemp(directory.data()) == nullptr) throw rendezvous_failed(directory + ": can't be made");
  std::signal(SIGPIPE, SIG_IGN);
  pid_t const child = fork();
  if (child == 0) {
    try {
      (void)part(rank_id(0), directory);
    } catch (std::exception const&) {  // the other one misses it
    }
    _exit(0);
  }
  auto const answer = part(rank_id(1), directory);
  waitpid(child, nullptr, 0);
  std::filesystem::remove_all(directory);
  return answer;
}

/// The time of a session: from the end of the first program to that of the last.
ticks time_of_session(program const& p) {
  auto const all = on_two_processes([&](rank_id self, std::string const& directory) {
    idle::work w(2);
    gloo_executor const here({.directory = directory}, 2, self);
    auto session = here.open(w);
    for (int n = 0; n <= programs; ++n) session.submit(non_owning(p));
    return session.wait();
  });
  if (!all.lost.empty()) throw peer_lost(all.lost.front());
  ticks begun = 0;
  for (event const& e : all.timeline.events)
    if (e.iteration == 0) begun = e.end;
  return all.timeline.events.back().end - begun;
}

/// The time in which bare Gloo sends as many messages: one way, or there and back. Like a session,
/// the sender has many of them under way.
ticks time_of_gloo(std::int32_t messages, std::size_t bytes, bool there_and_back) {
  return on_two_processes([&](rank_id self, std::string const& directory) {
    detail::connections const network({.directory = directory}, "bare", self.value(), 2,
                                      std::chrono::seconds{10}, [] { return false; });
    if (!network.failure().empty()) throw std::runtime_error(network.failure());

    constexpr std::size_t under_way = 64;
    std::vector<std::byte> memory(bytes * under_way);
    std::vector<std::unique_ptr<::gloo::transport::UnboundBuffer>> buffers;
    for (std::size_t n = 0; n < under_way; ++n)
      buffers.push_back(network.buffer(memory.data() + n * bytes, bytes));
    int const peer = 1 - self.value();
    std::size_t sent = 0;
    auto const send = [&] {
      auto& buffer = *buffers[sent % under_way];
      if (sent++ >= under_way) buffer.waitSend(std::chrono::seconds{10});
      buffer.send(peer, 0);
    };
    auto const receive = [&] {
      buffers[0]->recv(peer, 0);
      buffers[0]->waitRecv(std::chrono::seconds{10});
    };
    auto const pass = [&](std::int32_t count) {
      for (std::int32_t n = 0; n < count; ++n)
        if (!there_and_back)
          self == 0 ? send() : receive();
        else if (self == n % 2)
          buffers[0]->send(peer, 0), buffers[0]->waitSend(std::chrono::seconds{10});
        else
          receive();
    };
    pass(messages);
    auto const begun = std::chrono::steady_clock::now();
    pass(messages * programs);
    auto const took = std::chrono::steady_clock::now() - begun;
    for (std::size_t n = 0; self == 0 && !there_and_back && n < under_way; ++n)
      buffers[n]->waitSend(std::chrono::seconds{10});
    return static_cast<ticks>(std::chrono::nanoseconds(took).count());
  });
}

/// The time of an instruction of rank 1's, or of so many together. `gloo` times the same by bare
/// Gloo: then `ratio` is the median of pairs that run in turn.
void run_sessions(benchmark::State& state, std::shared_ptr<program const> const& p,
                  int together = 1, std::function<ticks()> const& gloo = {}) try {
  double const parts = static_cast<double>(p->ranks[1].instructions.size()) * programs / together;
  std::vector<double> bare, ratios;
  idle::time_parts(state, parts, [&] {
    ticks const ours = time_of_session(*p);
    if (gloo) {
      bare.push_back(static_cast<double>(gloo()));
      ratios.push_back(static_cast<double>(ours) / bare.back());
    }
    return ours;
  });
  if (!gloo) return;
  std::ranges::sort(bare);
  std::ranges::sort(ratios);
  state.counters["gloo"] = bare[bare.size() / 2] / parts;
  state.counters["ratio"] = ratios[ratios.size() / 2];
} catch (std::exception const& error) {
  state.SkipWithError(error.what());
}

void processes_computes(benchmark::State& state) { run_sessions(state, idle::computes(2, 10000)); }
void processes_messages(benchmark::State& state) {
  constexpr std::int32_t count = 1000;
  run_sessions(state, idle::messages(count, state.range(0)), 1, [&] {
    return time_of_gloo(count, static_cast<std::size_t>(state.range(0)), false);
  });
}
void processes_ping_pong(benchmark::State& state) {
  constexpr std::int32_t rounds = 200;
  run_sessions(state, idle::ping_pong(rounds), 2,
               [] { return time_of_gloo(2 * rounds, 64, true); });
}

BENCHMARK(processes_computes)->Unit(benchmark::kMillisecond)->UseRealTime()->Iterations(9);
BENCHMARK(processes_messages)
    ->Arg(64)
    ->Arg(2048)
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime()
    ->Iterations(9);
BENCHMARK(processes_ping_pong)->Unit(benchmark::kMillisecond)->UseRealTime()->Iterations(9);

}  // namespace
