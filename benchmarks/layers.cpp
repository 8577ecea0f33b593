// Layers cut into stages: the time of a plan, its gap to the joint lower bound, and the throughput
// over even numbers of layers under interleaved 1F1B with the chunks that suit it best.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstdint>
#include <limits>

#include "shunt/core/splitmix64.hpp"
#include "shunt/core/units.hpp"
#include "shunt/measure/pipeline.hpp"
#include "shunt/plan/layer_partition.hpp"
#include "shunt/problem/layer_job.hpp"
#include "shunt/problem/stage_layout.hpp"
#include "shunt/solve/pipeline/interleaved_one_f_one_b.hpp"
#include "shunt/solve/pipeline/layer_planner.hpp"

namespace {

using namespace shunt;

ticks even_interleaved(layer_job const& job) {
  auto const layers = static_cast<std::int32_t>(job.layers.size());
  auto least = std::numeric_limits<ticks>::max();
  for (std::int32_t v = 1; v * job.ranks <= layers && v <= 8; ++v) {
    auto const made =
        pipeline_job_of(job, even_cut(layers, v * job.ranks), stage_layout::looped(v));
    least = std::min(least, makespan(made, interleaved_one_f_one_b{}.order(made)));
  }
  return least;
}

void planned(benchmark::State& state, layer_job const& job) {
  solution<layer_partition> answer;
  for (auto _ : state) answer = layer_planner{}(job);
  state.counters["gap_percent"] = 100 * (answer.objective / answer.lower_bound - 1);
  state.counters["of_even_interleaved"] =
      static_cast<double>(even_interleaved(job)) / answer.objective;
}

// 128 layers with costs from 1 to 20 on 16 ranks, 64 micro-batches. Arguments: how many times as
// long as the mean layer the last one is, and the seed.
void heavy_last(benchmark::State& state) {
  splitmix64 random{static_cast<std::uint64_t>(state.range(1))};
  layer_job job{.ranks = 16, .microbatches = 64};
  auto const cost = [&] { return static_cast<ticks>(1 + random.below(20)); };
  for (int l = 0; l < 128; ++l)
    job.layers.push_back({.forward = cost(), .backward_input = cost(), .backward_weight = cost()});
  auto& last = job.layers.back();
  last.forward = last.backward_input = last.backward_weight = 10 * state.range(0);
  planned(state, job);
}
BENCHMARK(heavy_last)
    ->Unit(benchmark::kMillisecond)
    ->ArgsProduct({{1, 4, 8, 16}, {1, 2, 3, 4, 5, 6, 7, 8, 9}});

// Arguments: 0 heavy loss, 1 embedding and loss, 2 the same and every second layer of twice the
// costs; layers, ranks, micro-batches.
void uneven_model(benchmark::State& state) {
  layer_job job{.ranks = static_cast<std::int32_t>(state.range(2)),
                .microbatches = static_cast<std::int32_t>(state.range(3))};
  for (std::int64_t l = 0; l < state.range(1); ++l) {
    bool const heavy = state.range(0) == 2 && l % 2 == 1;
    job.layers.push_back(
        heavy ? model_layer{.forward = 22, .backward_input = 24, .backward_weight = 18}
              : model_layer{.forward = 10, .backward_input = 10, .backward_weight = 10});
  }
  ticks const loss = state.range(0) == 0 ? 60 : 30;
  if (state.range(0) > 0)
    job.layers.front() = {.forward = 2, .backward_input = 0, .backward_weight = 3};
  job.layers.back() = {.forward = loss, .backward_input = loss, .backward_weight = loss};
  planned(state, job);
}
BENCHMARK(uneven_model)
    ->Unit(benchmark::kMillisecond)
    ->ArgsProduct({{0, 1, 2}, {32}, {4, 8}, {16, 32}})
    ->ArgsProduct({{0, 1, 2}, {96}, {16}, {64}});

}  // namespace
