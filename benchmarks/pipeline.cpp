// How long it takes to make, judge, measure, lower and re-plan pipeline schedules. Arguments:
// pipelines, stages, micro-batches.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <ctime>

#include "shunt/check/pipeline.hpp"
#include "shunt/core/solution.hpp"
#include "shunt/core/splitmix64.hpp"
#include "shunt/lower/pipeline.hpp"
#include "shunt/measure/pipeline.hpp"
#include "shunt/measure/times.hpp"
#include "shunt/plan/pipeline_schedule.hpp"
#include "shunt/problem/pipeline_job.hpp"
#include "shunt/problem/stage_layout.hpp"
#include "shunt/solve/pipeline/one_f_one_b.hpp"
#include "shunt/solve/pipeline/slipstream.hpp"
#include "shunt/solve/pipeline/zb_h1.hpp"
#include "shunt/solve/solver.hpp"

namespace {

using namespace shunt;

pipeline_job job_of(benchmark::State const& state, int dead = 0) {
  pipeline_job job{
      .pipelines = static_cast<std::int32_t>(state.range(0)),
      .stages = static_cast<std::int32_t>(state.range(1)),
      .microbatches = static_cast<std::int32_t>(state.range(2)),
      .costs = {.forward = 100, .backward_input = 105, .backward_weight = 85, .step = 50},
      .transfer = 5};
  for (int i = 0; i < dead; ++i) {
    worker const w{i * 7 % job.pipelines, i * 5 % job.stages};
    if (job.alive(w)) job.dead.push_back(w);
  }
  return job;
}

template <class Generator>
void generate(benchmark::State& state) {
  auto const job = job_of(state);
  for (auto _ : state) benchmark::DoNotOptimize(Generator{}(job));
}

void judge(benchmark::State& state) {
  auto const job = job_of(state);
  auto const plan = zb_h1{}(job).plan;
  for (auto _ : state) benchmark::DoNotOptimize(check(job, plan));
}

void measure_times(benchmark::State& state) {
  auto const job = job_of(state);
  auto const plan = zb_h1{}(job).plan;
  for (auto _ : state) benchmark::DoNotOptimize(times(job, plan));
}

void lower_to_program(benchmark::State& state) {
  auto const job = job_of(state);
  auto const plan = zb_h1{}(job).plan;
  for (auto _ : state) benchmark::DoNotOptimize(lower(job, plan));
}

// One dead worker for every 20; counters: the gap to the lower bound in percent.
void replan(benchmark::State& state) {
  auto const base = job_of(state);
  auto const job = job_of(state, std::max(1, base.ranks() / 20));
  solution<pipeline_schedule> answer;
  for (auto _ : state) answer = slipstream{}(job);
  state.counters["gap_percent"] = 100 * (answer.objective / answer.lower_bound - 1);
}

// Any 50 workers are dead. Counters: nanoseconds an operation, and their ratio to those of 1,024
// workers (64 x 16 x 64), planned in turn as often as makes as many operations; seconds are of the
// thread.
void replan_at_scale(benchmark::State& state) {
  auto const with_failures = [](pipeline_job job) {
    job.costs = {.step = 3};
    splitmix64 random(7);
    while (job.dead.size() < 50) {
      worker const w{random.below(static_cast<std::uint64_t>(job.pipelines)),
                     random.below(static_cast<std::uint64_t>(job.stages))};
      if (job.alive(w)) job.dead.push_back(w);
    }
    return job;
  };
  auto const large = with_failures({.pipelines = static_cast<std::int32_t>(state.range(0)),
                                    .stages = static_cast<std::int32_t>(state.range(1)),
                                    .microbatches = static_cast<std::int32_t>(state.range(2))});
  auto const small = with_failures({.pipelines = 64, .stages = 16, .microbatches = 64});
  auto const nanoseconds = [](pipeline_job const& job, std::size_t times) {
    std::clock_t const start = std::clock();
    for (std::size_t i = 0; i < times; ++i) benchmark::DoNotOptimize(solve(job, slipstream{}));
    return 1e9 * static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC /
           static_cast<double>(times * 3 * job.cells());
  };
  double here = 0, reference = 0;
  for (auto _ : state) {
    reference += nanoseconds(small, std::max<std::size_t>(1, large.cells() / small.cells()));
    double const each = nanoseconds(large, 1);
    here += each;
    state.SetIterationTime(1e-9 * each * static_cast<double>(3 * large.cells()));
  }
  state.counters["ns_an_operation"] = here / static_cast<double>(state.iterations());
  state.counters["ratio"] = here / reference;
}

void sizes(benchmark::internal::Benchmark* b) {
  b->Unit(benchmark::kMillisecond);
  for (auto const& [d, s, m] : {std::array{1, 8, 32}, std::array{1, 64, 256}, std::array{3, 4, 6},
                                std::array{8, 8, 32}, std::array{64, 16, 64}})
    b->Args({d, s, m});
}
BENCHMARK(generate<one_f_one_b>)->Apply(sizes);
BENCHMARK(generate<zb_h1>)->Apply(sizes);
BENCHMARK(judge)->Apply(sizes);
BENCHMARK(measure_times)->Apply(sizes);
BENCHMARK(lower_to_program)->Apply(sizes);
BENCHMARK(replan_at_scale)
    ->Unit(benchmark::kMillisecond)
    ->UseManualTime()
    ->Args({64, 16, 64})
    ->Args({128, 16, 128})
    ->Args({256, 64, 64});
BENCHMARK(replan)
    ->Unit(benchmark::kMillisecond)
    ->Args({3, 4, 6})
    ->Args({8, 8, 32})
    ->Args({64, 16, 64});

}  // namespace
