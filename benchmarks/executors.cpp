// What executors cost by themselves: an instruction that waits for nobody, a message there and
// back, a program checked and simulated.
#include <benchmark/benchmark.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>

#include "idle_programs.hpp"
#include "shunt/check/program.hpp"
#include "shunt/core/id.hpp"
#include "shunt/core/operation.hpp"
#include "shunt/core/units.hpp"
#include "shunt/execute/host/stopwatch.hpp"
#include "shunt/execute/inline_executor.hpp"
#include "shunt/execute/thread_executor.hpp"
#include "shunt/program/builder.hpp"
#include "shunt/program/program.hpp"
#include "shunt/simulate/cost_model.hpp"
#include "shunt/simulate/simulated_executor.hpp"

namespace {

using namespace shunt;

struct unit_costs {
  ticks compute(rank_id, operation const&) const { return 1; }
  transfer_time transfer(rank_id, rank_id, byte_count) const { return {0, 1}; }
};

/// A pipeline's shape: every rank receives, computes and sends, `each` times; messages on a lane of
/// their own or not.
std::shared_ptr<program const> chains(std::int32_t pipelines, std::int32_t stages,
                                      std::int32_t each, bool own_lane) {
  program_builder b(pipelines * stages);
  auto const lane = static_cast<std::uint8_t>(own_lane ? 1 : 0);
  for (std::int32_t p = 0; p < pipelines; ++p)
    for (std::int32_t s = 0; s < stages; ++s) {
      rank_id const r = p * stages + s;
      b.buffer(r, 128 * each, true);
      for (std::int32_t n = 0; n < each; ++n) {
        region const in{0, 128 * n, 64}, out{0, 128 * n + 64, 64};
        auto const got = s > 0 ? b.receive(r, r.value() - 1, in, 0, {.lane = lane}) : -1;
        auto const done = own_lane && s > 0 ? b.compute(r, {}, {in}, {out}, {.after = {got}})
                                            : b.compute(r, {}, {in}, {out});
        if (s + 1 == stages) continue;
        if (own_lane)
          b.send(r, r.value() + 1, out, 0, {.lane = 1, .after = {done}});
        else
          b.send(r, r.value() + 1, out);
      }
    }
  return std::make_shared<program const>(std::move(b).finish());
}

/// Sessions of many programs, and the time of an instruction, or of so many together.
template <class Executor>
void run_sessions(benchmark::State& state, Executor const& executor,
                  std::shared_ptr<program const> const& p, int together = 1) {
  idle::work w(p->ranks.size());
  constexpr int programs = 20;
  idle::time_parts(state, static_cast<double>(p->instructions()) * programs / together, [&] {
    stopwatch const clock;
    auto session = executor.open(w);
    for (int n = 0; n < programs; ++n) session.submit(p);
    auto const o = session.wait();
    benchmark::DoNotOptimize(o.timeline.events.data());
    return clock.now();
  });
}

void inline_computes(benchmark::State& state) {
  run_sessions(state, inline_executor{}, idle::computes(2, 5000));
}
void inline_messages(benchmark::State& state) {
  run_sessions(state, inline_executor{}, idle::messages(5000, state.range(0)));
}
void threads_computes(benchmark::State& state) {
  run_sessions(state, thread_executor{}, idle::computes(1, 10000));
}
void threads_messages(benchmark::State& state) {
  run_sessions(state, thread_executor{}, idle::messages(5000, state.range(0)));
}
void threads_ping_pong(benchmark::State& state) {
  run_sessions(state, thread_executor{}, idle::ping_pong(500), 4);
}

/// Workers, each with about 200 instructions on one or two lanes.
void simulate_pipelines(benchmark::State& state) {
  auto const p =
      chains(static_cast<std::int32_t>(state.range(0)) / 16, 16, 68, state.range(1) == 2);
  for (auto _ : state) {
    auto const o = simulated_executor{unit_costs{}}.run(*p);
    benchmark::DoNotOptimize(o.timeline.events.data());
  }
  state.counters["instructions"] = static_cast<double>(p->instructions());
}

void check_pipelines(benchmark::State& state) {
  auto const p =
      chains(static_cast<std::int32_t>(state.range(0)) / 16, 16, 68, state.range(1) == 2);
  for (auto _ : state) benchmark::DoNotOptimize(check(*p).size());
  state.counters["instructions"] = static_cast<double>(p->instructions());
}

BENCHMARK(inline_computes)->Unit(benchmark::kMillisecond);
BENCHMARK(inline_messages)->Arg(64)->Arg(2048)->Unit(benchmark::kMillisecond);
BENCHMARK(threads_computes)->Unit(benchmark::kMillisecond)->UseRealTime();
BENCHMARK(threads_messages)->Arg(64)->Arg(2048)->Unit(benchmark::kMillisecond)->UseRealTime();
BENCHMARK(threads_ping_pong)->Unit(benchmark::kMillisecond)->UseRealTime();
BENCHMARK(simulate_pipelines)
    ->ArgsProduct({{64, 1024, 16384}, {1, 2}})
    ->Unit(benchmark::kMillisecond);
BENCHMARK(check_pipelines)->ArgsProduct({{64, 1024}, {1, 2}})->Unit(benchmark::kMillisecond);

}  // namespace
