// Plans around dead workers against the lower bound, and how long large ones take. SHUNT_BENCHMARK_JOBS=2000 (default 10) sets the number
// of random jobs; with 1000 and more the rows of 16,384 workers are there as well.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <random>
#include <utility>
#include <vector>

#include "shunt/lower/pipeline.hpp"
#include "shunt/measure/pipeline.hpp"
#include "shunt/simulate/cost_model.hpp"
#include "shunt/simulate/simulated.hpp"
#include "shunt/solve/pipeline/merge_streams.hpp"
#include "shunt/solve/pipeline/slipstream.hpp"

namespace {

using namespace shunt;

class dice {
 public:
  explicit dice(std::uint64_t seed) : engine_(seed) {}
  std::int32_t roll(std::int32_t low, std::int32_t high) {
    return low + static_cast<std::int32_t>(engine_() % static_cast<std::uint64_t>(high - low + 1));
  }

 private:
  std::mt19937_64 engine_;
};

int jobs() {
  char const* const wish = std::getenv("SHUNT_BENCHMARK_JOBS");
  return wish == nullptr ? 10 : std::max(1, std::atoi(wish));
}

enum class family { unit, near, wide };  // costs 1; 80 to 120 and transfer 5; 1 to 20 and transfer 1 to 10

// D and S in 2..8, M in 4..32, up to two dead workers a stage and a live one.
pipeline_job random_job(dice& d, family of) {
  pipeline_job job{.pipelines = d.roll(2, 8), .stages = d.roll(2, 8), .microbatches = d.roll(4, 32)};
  auto const costs = [&](std::int32_t low, std::int32_t high) {
    std::vector<ticks> each;
    for (std::int32_t s = 0; s < job.stages; ++s) each.push_back(d.roll(low, high));
    return per_stage(std::move(each));
  };
  if (of == family::near) {
    job.costs = {.forward = costs(80, 120), .backward_input = costs(80, 120), .backward_weight = costs(80, 120)};
    job.transfer = 5;
  }
  if (of == family::wide) {
    job.costs = {.forward = costs(1, 20), .backward_input = costs(1, 20), .backward_weight = costs(1, 20)};
    job.transfer = d.roll(1, 10);
  }
  for (std::int32_t s = 0; s < job.stages; ++s)
    for (std::int32_t left = d.roll(0, std::min(2, job.pipelines - 1)); left > 0;) {
      worker const w{d.roll(0, job.pipelines - 1), s};
      if (!job.alive(w)) continue;
      job.dead.push_back(w);
      --left;
    }
  return job;
}

// Counters in percent: plans at the bound, the same where M >= 2 S, mean gap to the bound; the time is that of all jobs.
void at_the_bound(benchmark::State& state) {
  dice d(100 + static_cast<std::uint64_t>(state.range(0)));
  std::vector<pipeline_job> all;
  for (int i = 0; i < jobs(); ++i) all.push_back(random_job(d, static_cast<family>(state.range(0))));
  slipstream const solver{.effort = state.range(1)};
  double reached = 0, deep = 0, deep_reached = 0, gap = 0, slowest = 0;
  for (auto _ : state) {
    reached = deep = deep_reached = gap = slowest = 0;
    for (auto const& job : all) {
      auto const from = std::chrono::steady_clock::now();
      auto const answer = solver(job);
      slowest = std::max(slowest, std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - from).count());
      bool const at = answer.objective == answer.lower_bound, is_deep = job.microbatches >= 2 * job.stages;
      reached += at;
      deep += is_deep;
      deep_reached += is_deep && at;
      gap += answer.objective / answer.lower_bound - 1;
    }
  }
  auto const n = static_cast<double>(all.size());
  state.counters["at_bound"] = 100 * reached / n;
  state.counters["at_bound_deep"] = deep > 0 ? 100 * deep_reached / deep : 100;
  state.counters["mean_gap"] = 100 * gap / n;
  state.counters["slowest_ms"] = slowest;
}
BENCHMARK(at_the_bound)
    ->Unit(benchmark::kMillisecond)
    ->Iterations(1)
    ->ArgNames({"family", "effort"})
    ->Args({0, 120'000})
    ->Args({1, 120'000})
    ->Args({2, 120'000});

pipeline_job large_job(std::int32_t pipelines, std::int32_t stages, int dead) {
  pipeline_job job{.pipelines = pipelines,
                   .stages = stages,
                   .microbatches = 64,
                   .costs = {.forward = 100, .backward_input = 105, .backward_weight = 85, .step = 50},
                   .transfer = 5};
  dice d(7);
  while (static_cast<int>(job.dead.size()) < dead)
    if (worker const w{d.roll(0, pipelines - 1), d.roll(0, stages - 1)}; job.alive(w)) job.dead.push_back(w);
  return job;
}

// 1,024 workers, 50 of them dead.
void replan(benchmark::State& state) {
  auto const job = large_job(64, 16, 50);
  solution<pipeline_schedule> answer;
  for (auto _ : state) answer = slipstream{}(job);
  state.counters["gap_percent"] = 100 * (answer.objective / answer.lower_bound - 1);
}
BENCHMARK(replan)->Unit(benchmark::kMillisecond);

// A plan that no search is needed for: 1F1B as the streams of each worker fall.
pipeline_schedule steady_plan(pipeline_job const& job) {
  auto one = job;
  one.pipelines = 1;
  auto const first = one_f_one_b{}(one).plan;
  auto plan = empty_schedule(job);
  for (pipeline_id p : ids<pipeline_id>(job.pipelines))
    for (stage_id s : ids<stage_id>(job.stages)) {
      auto& list = plan.order[job.rank_of({p, s})];
      list = first.order[one.rank_of({0, s})];
      for (operation& o : list)
        if (o.kind != op_kind::step) o.pipeline = p;
    }
  plan.staggered_step = true;
  return plan;
}

void measure_iteration(benchmark::State& state) {
  auto const job = large_job(static_cast<std::int32_t>(state.range(0)), static_cast<std::int32_t>(state.range(1)), 0);
  auto const plan = steady_plan(job);
  for (auto _ : state) benchmark::DoNotOptimize(times(job, plan));
}
void measure_period(benchmark::State& state) {
  auto const job = large_job(static_cast<std::int32_t>(state.range(0)), static_cast<std::int32_t>(state.range(1)), 0);
  auto const plan = steady_plan(job);
  for (auto _ : state) benchmark::DoNotOptimize(period(job, plan));
}
void simulate_iteration(benchmark::State& state) {
  auto const job = large_job(static_cast<std::int32_t>(state.range(0)), static_cast<std::int32_t>(state.range(1)), 0);
  auto const program = lower(job, steady_plan(job));
  for (auto _ : state) benchmark::DoNotOptimize(simulated{job_costs(job)}.run(program));
  state.counters["instructions"] = static_cast<double>(program.instructions());
}
void workers(benchmark::internal::Benchmark* b) {
  b->Unit(benchmark::kMillisecond)->Args({8, 16});
  if (jobs() >= 1000) b->Args({64, 16})->Args({512, 32});
}
BENCHMARK(measure_iteration)->Apply(workers);
BENCHMARK(measure_period)->Apply(workers);
BENCHMARK(simulate_iteration)->Apply(workers);

}  // namespace
