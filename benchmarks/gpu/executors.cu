// What programs cost the host and the device where they run on a GPU's streams or as its graphs: an
// instruction of a work that only launches an empty kernel, a message, and a whole step of a
// pipeline. Target: one launch a step, at most 20 us of the host's time.
#include <benchmark/benchmark.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "../idle_programs.hpp"
#include "device_time.hpp"
#include "shunt/cuda/streams.cuh"
#include "shunt/lower/pipeline.hpp"
#include "shunt/solve/pipeline/zb_h1.hpp"

namespace {

using namespace shunt;
using shunt_benchmark::no_gpu;

template <class Nothing>
__global__ void empty_kernel(Nothing) {}

class launching_work {
 public:
  explicit launching_work(program const& p) : memory_(p.ranks.size()) {
    for (rank_id const r : ids<rank_id>(p.ranks.size()))
      for (auto const& b : p.ranks[r].buffers)
        memory_[r.index()].emplace_back(static_cast<std::size_t>(b.size + 63) / 64 * 64);
  }
  void operator()(rank_id, stream_task const&, cuda_stream_ref on) const {
    empty_kernel<<<1, 1, 0, on.get()>>>(0);
    cuda_check(cudaGetLastError(), "empty_kernel");
  }
  std::span<std::byte> buffer(rank_id r, buffer_id b) {
    return memory_[r.index()][b.index()].bytes();
  }

 private:
  std::vector<std::vector<cuda_buffer>> memory_;
};
static_assert(work_on_streams<launching_work, cuda_system>);

/// Counters of one of a program's equal parts, in nanoseconds: `ns` until the device is done with
/// it, `host` until it is enqueued. And how many `launches` of graphs a program took.
template <class Executor>
void time_programs(benchmark::State& state, Executor const& executor,
                   std::shared_ptr<program const> const& p, double parts) {
  launching_work w(*p);
  auto session = executor.open(w);
  std::int32_t submitted = 0;
  auto const run = [&] {
    auto const start = std::chrono::steady_clock::now();
    session.submit(p);
    std::chrono::duration<double> const host = std::chrono::steady_clock::now() - start;
    if (!session.wait_until(++submitted)) state.SkipWithError("a program did not complete");
    return std::pair(host, std::chrono::duration<double>(std::chrono::steady_clock::now() - start));
  };
  for (int warm_up = 0; warm_up < 3; ++warm_up) (void)run();
  double enqueued = 0, all = 0;
  for (auto _ : state) {
    auto const [host, until_done] = run();
    state.SetIterationTime(host.count());
    enqueued += host.count();
    all += until_done.count();
  }
  double const each = static_cast<double>(submitted - 3) * parts * 1e-9;
  if (each > 0) {
    state.counters["host"] = enqueued / each;
    state.counters["ns"] = all / each;
  }
  if constexpr (requires { session.graphs(); })
    state.counters["launches"] = static_cast<double>(session.graphs().launched) / submitted;
  (void)session.wait();
}

/// Four stages, eight micro-batches, zero bubble: 216 instructions on four ranks.
std::shared_ptr<program const> step_of_a_pipeline() {
  pipeline_job const job{.pipelines = 1, .stages = 4, .microbatches = 8};
  return std::make_shared<program const>(
      lower(job, zb_h1{}(job).plan,
            pipeline_tensors{.activation = 4096, .stash = 4096, .gradient = 4096, .state = 4096}));
}

void streams_computes(benchmark::State& state) {
  if (no_gpu(state)) return;
  cuda_system gpu;
  time_programs(state, stream_executor<cuda_system>{.system = &gpu, .timed = state.range(0) != 0},
                idle::computes(2, 500), 1000);
}
void streams_messages(benchmark::State& state) {
  if (no_gpu(state)) return;
  cuda_system gpu;
  time_programs(state, stream_executor<cuda_system>{.system = &gpu, .timed = false},
                idle::messages(500, state.range(0)), 500);
}
void streams_step(benchmark::State& state) {
  if (no_gpu(state)) return;
  cuda_system gpu;
  time_programs(state, stream_executor<cuda_system>{.system = &gpu, .timed = false},
                step_of_a_pipeline(), 1);
}
void graph_step(benchmark::State& state) {
  if (no_gpu(state)) return;
  cuda_system gpu;
  time_programs(state, graph_executor<cuda_system>{.system = &gpu, .timed = state.range(0) != 0},
                step_of_a_pipeline(), 1);
}

BENCHMARK(streams_computes)->Arg(0)->Arg(1)->UseManualTime()->Unit(benchmark::kMicrosecond);
BENCHMARK(streams_messages)->Arg(64)->Arg(2048)->UseManualTime()->Unit(benchmark::kMicrosecond);
BENCHMARK(streams_step)->UseManualTime()->Unit(benchmark::kMicrosecond);
BENCHMARK(graph_step)->Arg(0)->Arg(1)->UseManualTime()->Unit(benchmark::kMicrosecond);

}  // namespace
