// Zero bubble schedules beside the best of others: quality at the same memory, and how long an
// order takes.
//
// A label of the quality rows reads "ours | theirs | bound": makespans, or with "period" the time
// of the longest rank, a micro-batch's forward as the unit. Theirs: the least of
// sail-sg/zero-bubble-pipeline-parallelism 39f2c186 and PyTorch 2.14.1, measured with one
// simulator. Costs "unit": F = I = W = 1, no transfer; "real": F = 1, I = 1.05, W = 0.85, transfer
// 0.05 (a twentieth a tick), a chunk where a rank has two. The rows of zb_auto let a backward_input
// give back half of the stash, as there; the others hold all of it until the backward_weight.
#include <benchmark/benchmark.h>

#include <array>
#include <cstdint>
#include <cstdio>
#include <string_view>

#include "shunt/check/pipeline.hpp"
#include "shunt/check/pipeline_actions.hpp"
#include "shunt/core/solution.hpp"
#include "shunt/lower/pipeline.hpp"
#include "shunt/lower/pipeline_messages.hpp"
#include "shunt/measure/pipeline.hpp"
#include "shunt/plan/pipeline_schedule.hpp"
#include "shunt/problem/pipeline_job.hpp"
#include "shunt/problem/stage_costs.hpp"
#include "shunt/problem/stage_layout.hpp"
#include "shunt/solve/pipeline/slipstream.hpp"
#include "shunt/solve/pipeline/v_half.hpp"
#include "shunt/solve/pipeline/v_min.hpp"
#include "shunt/solve/pipeline/zb_v.hpp"
#include "shunt/solve/pipeline/zero_bubble.hpp"

namespace {

using namespace shunt;

constexpr std::array<std::array<std::int32_t, 2>, 5> sizes{
    {{4, 8}, {8, 32}, {16, 64}, {32, 128}, {64, 256}}};

// A row of peers' figures for the five sizes; longest: the share in percent that the longest rank
// idles.
struct peers {
  char const* name;
  std::int32_t chunks;
  std::array<double, 5> stash;  // stages of a linear layout
  std::array<double, 5> unit_makespan, unit_longest, real_makespan, real_longest;
};
constexpr std::array<peers, 5> others{{
    {"zb_auto_1p",
     1,
     {4, 8, 16, 32, 64},
     {27, 103, 207, 415, 831},
     {11.11, 6.80, 7.25, 7.47, 7.58},
     {27.40, 103.40, 206.60, 414.70, 842.05},
     {15.33, 9.55, 10.16, 10.47, 10.62}},
    {"zb_auto_2p",
     1,
     {7.5, 16, 32, 64, 128},
     {27, 103, 207, 415, 831},
     {0, 0, 0, 0, 0},
     {26.35, 100.25, 202.35, 405.45, 815.65},
     {4.72, 0.96, 0.67, 0.97, 1.13}},
    {"zb_v",
     2,
     {4, 8, 16, 32, 64},
     {51, 199, 399, 799, 1599},
     {0, 0, 0, 0, 0},
     {50.20, 194.60, 390.60, 782.60, 1566.60},
     {3.13, 2.42, 2.73, 2.83, 2.88}},
    {"v_half",
     2,
     {3, 5, 9, 17, 33},
     {53, 209, 425, 857, 1721},
     {9.43, 8.13, 9.65, 10.39, 10.75},
     {53.55, 207.20, 421.85, 851.55, 1710.65},
     {13.35, 10.42, 12.01, 12.82, 13.20}},
    {"v_min",
     2,
     {2, 4, 6, 12, 22},
     {59, 219, 443, 891, 1787},
     {18.64, 12.33, 13.32, 13.80, 14.05},
     {63.35, 237.90, 483.95, 974.90, 1957.55},
     {26.76, 21.98, 23.30, 23.85, 24.15}},
}};

pipeline_job job_of(std::int32_t ranks, std::int32_t microbatches, std::int32_t chunks, bool real) {
  pipeline_job job{.stages = chunks * ranks,
                   .microbatches = microbatches,
                   .layout = chunks == 1 ? stage_layout::linear() : stage_layout::wave(chunks)};
  if (real) {
    job.costs = {.forward = 20, .backward_input = 21, .backward_weight = 17};
    job.transfer = 1;
  }
  return job;
}

// Arguments: row of others, size, 1 for real costs, 1 for the period of a staggered step.
void quality(benchmark::State& state) {
  auto const& row = others[static_cast<std::size_t>(state.range(0))];
  auto const size = static_cast<std::size_t>(state.range(1));
  bool const real = state.range(2) != 0, stagger = state.range(3) != 0;
  auto job = job_of(sizes[size][0], sizes[size][1], row.chunks, real);
  std::string_view const name = row.name;
  job.memory = stash_cap::per_worker(
      static_cast<std::int64_t>(2 * row.stash[size]));  // halves of stages, or chunks
  if (row.chunks == 1) job.stash = {.forward = 2, .backward_input = 1};
  solution<pipeline_schedule> answer;
  for (auto _ : state) {
    if (name == zb_v::name)
      answer = zb_v{.stagger = stagger}(job);
    else if (name == v_half::name)
      answer = v_half{.stagger = stagger}(job);
    else if (name == v_min::name)
      answer = v_min{.stagger = stagger}(job);
    else
      answer = zero_bubble{.stagger = stagger}(job);
  }
  double const unit = real ? 20 : 1, work = row.chunks * sizes[size][1] * (real ? 2.9 : 3.0);
  constexpr double rounding = 0.005;  // their idle shares have two digits behind the point
  double const theirs =
      stagger ? work / (1 - ((real ? row.real_longest : row.unit_longest)[size] + rounding) / 100)
              : (real ? row.real_makespan : row.unit_makespan)[size];
  std::array<char, 160> text{};
  std::snprintf(text.data(), text.size(), "%s (%d,%d) %s %s: %.2f | %.2f | %.2f", row.name,
                sizes[size][0], sizes[size][1], real ? "real" : "unit",
                stagger ? "period" : "makespan", answer.objective / unit, theirs,
                answer.lower_bound / unit);
  state.SetLabel(text.data());
  state.counters["of_peers"] = 100 * answer.objective / unit / theirs;
  state.counters["gap_percent"] = 100 * (answer.objective / answer.lower_bound - 1);
  state.counters["bubble_percent"] = 100 * (1 - work * unit / answer.objective);
}
BENCHMARK(quality)
    ->Unit(benchmark::kMillisecond)
    ->Iterations(1)
    ->ArgsProduct({{0, 1, 2, 3, 4}, {0, 1, 2, 3, 4}, {0, 1}, {0, 1}});

// Orders for all ranks, two chunks each, real costs. Arguments: ranks, micro-batches.
template <class Solver>
void generate(benchmark::State& state, Solver const& solver) {
  auto const job = job_of(static_cast<std::int32_t>(state.range(0)),
                          static_cast<std::int32_t>(state.range(1)), 2, true);
  for (auto _ : state) benchmark::DoNotOptimize(solver(job));
  if (solver.effort == 0) state.SetComplexityN(state.range(0) * state.range(1) * 6);
}
void all_sizes(benchmark::internal::Benchmark* b) {
  for (auto const& [ranks, microbatches] : sizes) b->Args({ranks, microbatches});
  b->Unit(benchmark::kMicrosecond);
}
BENCHMARK_CAPTURE(generate, one_run, zero_bubble{.effort = 0})
    ->Apply(all_sizes)
    ->Complexity(benchmark::oN);
BENCHMARK_CAPTURE(generate, zb_v, zb_v{})->Apply(all_sizes);
BENCHMARK_CAPTURE(generate, v_half, v_half{})->Apply(all_sizes);
BENCHMARK_CAPTURE(generate, v_min, v_min{})->Apply(all_sizes);

// One run of the list scheduler, then messages put in place and everything judged; or the whole
// program instead.
pipeline_job capped_job(benchmark::State const& state) {
  auto job = job_of(static_cast<std::int32_t>(state.range(0)),
                    static_cast<std::int32_t>(state.range(1)), 2, true);
  job.memory = stash_cap::per_worker(2 * state.range(0));
  return job;
}
void order_lower_check(benchmark::State& state) {
  auto const job = capped_job(state);
  for (auto _ : state) {
    auto const plan = zero_bubble{.effort = 0}(job).plan;
    if (!check(job, plan, place_messages(job, plan)).empty()) state.SkipWithError("broken");
  }
  state.SetComplexityN(state.range(0) * state.range(1) * 6);
}
void order_check_program(benchmark::State& state) {
  auto const job = capped_job(state);
  for (auto _ : state) {
    auto const plan = zero_bubble{.effort = 0}(job).plan;
    benchmark::DoNotOptimize(check(job, plan));
    benchmark::DoNotOptimize(lower(job, plan));
  }
  state.SetComplexityN(state.range(0) * state.range(1) * 6);
}
BENCHMARK(order_lower_check)->Apply(all_sizes)->Complexity(benchmark::oN);
BENCHMARK(order_check_program)->Apply(all_sizes)->Complexity(benchmark::oN);

// Counter: solvers and sizes whose orders stay the same when all costs are multiplied by 1000.
void same_orders(benchmark::State& state) {
  double same = 0, all = 0;
  auto const compare = [&](auto const& solver, std::int32_t chunks, std::size_t size,
                           bool linear_only = false) {
    auto job = job_of(sizes[size][0], sizes[size][1], chunks, true);
    if (linear_only) job.pipelines = 2, job.dead = {{1, 1}};
    auto large = job;
    large.costs = {.forward = 20'000, .backward_input = 21'000, .backward_weight = 17'000};
    large.transfer = 1000;
    same += solver(job).plan == solver(large).plan;
    ++all;
  };
  for (auto _ : state) {
    same = all = 0;
    for (std::size_t const size : {0, 1}) {
      compare(zero_bubble{}, 1, size);
      compare(zero_bubble{.stagger = true}, 2, size);
      compare(zb_v{}, 2, size);
      compare(v_half{}, 2, size);
      compare(v_min{}, 2, size);
      compare(slipstream{}, 1, size, true);
    }
  }
  state.counters["same_percent"] = 100 * same / all;
}
BENCHMARK(same_orders)->Unit(benchmark::kMillisecond)->Iterations(1);

}  // namespace
