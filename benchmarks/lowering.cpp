// How long it takes to order, lower and check a pipeline with two chunks a rank. Arguments: ranks,
// micro-batches.
//
// * order: interleaved 1F1B, all ranks' lists.
// * lower: messages put in place, that is lists of operations, sends and receives, a lane for each
//   directed edge.
// * check: everything, that is operations, dependencies, messages, their order between two ranks,
//   deadlock with sends that wait.
// * all: these three.
// * all_memory_kept: the same where the allocator is told to keep what was freed. Malloc of glibc
//   does so by itself up to twice its largest block, here the lists of actions.
// * program: the same as a program with regions, buffers, waits and channels; and its check.
//
// Best of PyTorch 2.14.1 for order, validation and lowering: 6.1 ms (8, 32), 2.0 s (64, 256);
// sail-sg: 92 ms, 183 s.
#include <benchmark/benchmark.h>
#include <malloc.h>

#include <cstdint>
#include <utility>

#include "shunt/check/pipeline_actions.hpp"
#include "shunt/check/program.hpp"
#include "shunt/check/program_transport.hpp"
#include "shunt/lower/pipeline.hpp"
#include "shunt/lower/pipeline_messages.hpp"
#include "shunt/plan/pipeline_actions.hpp"
#include "shunt/problem/pipeline_job.hpp"
#include "shunt/problem/stage_layout.hpp"
#include "shunt/solve/pipeline/interleaved_one_f_one_b.hpp"

namespace {

using namespace shunt;

pipeline_job job_of(benchmark::State const& state) {
  pipeline_job job{.stages = 2 * static_cast<std::int32_t>(state.range(0)),
                   .microbatches = static_cast<std::int32_t>(state.range(1))};
  job.layout = stage_layout::looped(2);
  return job;
}

// n: instructions, which all of this should be linear in.
void count(benchmark::State& state, pipeline_job const& job) {
  auto const n = place_messages(job, interleaved_one_f_one_b{}.order(job)).lists.items().size();
  state.SetComplexityN(static_cast<benchmark::IterationCount>(n));
  state.counters["n"] = static_cast<double>(n);
}

void order(benchmark::State& state) {
  auto const job = job_of(state);
  for (auto _ : state) benchmark::DoNotOptimize(interleaved_one_f_one_b{}.order(job));
  count(state, job);
}

void lower(benchmark::State& state) {
  auto const job = job_of(state);
  auto const plan = interleaved_one_f_one_b{}.order(job);
  auto const lanes = static_cast<message_lanes>(state.range(2));
  for (auto _ : state) benchmark::DoNotOptimize(place_messages(job, plan, lanes));
  count(state, job);
}

void check(benchmark::State& state) {
  auto const job = job_of(state);
  auto const plan = interleaved_one_f_one_b{}.order(job);
  auto const actions = place_messages(job, plan, static_cast<message_lanes>(state.range(2)));
  for (auto _ : state) benchmark::DoNotOptimize(shunt::check(job, plan, actions));
  count(state, job);
}

void all(benchmark::State& state) {
  auto const job = job_of(state);
  for (auto _ : state) {
    auto const plan = interleaved_one_f_one_b{}.order(job);
    auto const actions = place_messages(job, plan);
    if (!shunt::check(job, plan, actions).empty()) state.SkipWithError("broken");
  }
  count(state, job);
}

void all_memory_kept(benchmark::State& state) { all(state); }
void keep_memory(benchmark::State const&) {
  mallopt(M_MMAP_THRESHOLD, 1 << 30);
  mallopt(M_TRIM_THRESHOLD, 1 << 30);
}
void give_memory_back(
    benchmark::State const&) {  // as it is by default, but that the thresholds don't grow any more
  mallopt(M_MMAP_THRESHOLD, 128 << 10);
  mallopt(M_TRIM_THRESHOLD, 128 << 10);
}

void program_lower(benchmark::State& state) {
  auto const job = job_of(state);
  auto const plan = interleaved_one_f_one_b{}.order(job);
  for (auto _ : state) benchmark::DoNotOptimize(shunt::lower(job, plan));
  count(state, job);
}

void program_check(benchmark::State& state) {
  auto const job = job_of(state);
  auto const program = shunt::lower(job, interleaved_one_f_one_b{}.order(job));
  for (auto _ : state) benchmark::DoNotOptimize(shunt::check(program));
  count(state, job);
}

void program_rendezvous(benchmark::State& state) {
  auto const job = job_of(state);
  auto const program = shunt::lower(job, interleaved_one_f_one_b{}.order(job));
  for (auto _ : state) benchmark::DoNotOptimize(check_rendezvous(program));
  count(state, job);
}

void sizes(benchmark::internal::Benchmark* b) {
  b->Unit(benchmark::kMicrosecond)->Complexity(benchmark::oN)->ArgNames({"p", "m"});
  for (auto const& [p, m] : {std::pair{8, 32}, {16, 64}, {32, 128}, {64, 256}}) b->Args({p, m});
}
void sizes_and_lanes(benchmark::internal::Benchmark* b) {
  b->Unit(benchmark::kMicrosecond)->ArgNames({"p", "m", "lanes"});
  for (auto const lanes :
       {message_lanes::one_per_edge, message_lanes::one_per_peer, message_lanes::one_per_rank})
    for (auto const& [p, m] : {std::pair{8, 32}, {64, 256}})
      b->Args({p, m, static_cast<std::int64_t>(lanes)});
}
BENCHMARK(order)->Apply(sizes);
BENCHMARK(lower)->Apply(sizes_and_lanes);
BENCHMARK(check)->Apply(sizes_and_lanes);
BENCHMARK(all)->Apply(sizes);
BENCHMARK(program_lower)->Apply(sizes);
BENCHMARK(program_check)->Apply(sizes);
BENCHMARK(program_rendezvous)->Apply(sizes);
BENCHMARK(all_memory_kept)->Setup(keep_memory)->Teardown(give_memory_back)->Apply(sizes);

}  // namespace
