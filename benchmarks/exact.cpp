// How close the searches come to the proved optimum of small jobs under caps, and how long a proof
// takes. SHUNT_BENCHMARK_JOBS: how many seeded jobs a row has, 20 by default.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <random>
#include <utility>
#include <vector>

#include "shunt/core/solution.hpp"
#include "shunt/core/units.hpp"
#include "shunt/plan/pipeline_schedule.hpp"
#include "shunt/problem/pipeline_job.hpp"
#include "shunt/problem/stage_costs.hpp"
#include "shunt/solve/pipeline/branch_and_bound.hpp"
#include "shunt/solve/pipeline/improve_order.hpp"
#include "shunt/solve/pipeline/search/routes.hpp"
#include "shunt/solve/pipeline/slipstream.hpp"
#include "shunt/solve/portfolio.hpp"

namespace {

using namespace shunt;

struct random_cases {
  std::mt19937_64 engine;
  std::int32_t roll(std::int32_t low, std::int32_t high) {
    return low + static_cast<std::int32_t>(engine() % static_cast<std::uint64_t>(high - low + 1));
  }
};

struct small_job {
  pipeline_job job;
  bool stagger;
  double optimum;
};

enum class prices : std::uint8_t {
  unit,
  alike,
  apart
};  // 1; 80..120 with transfer 5; 1..20 with transfer 1..10

// D 1..3, S 2..4, M 2..6, a cap a rank, no or one dead rank; of so many jobs those whose optimum is
// proved, on the routes of `routes`.
struct sample {
  std::vector<small_job> jobs{};
  int drawn = 0;

  explicit sample(prices kind) {
    auto const* const wished = std::getenv("SHUNT_BENCHMARK_JOBS");
    drawn = wished != nullptr ? std::atoi(wished) : 20;
    random_cases d{std::mt19937_64(77 + static_cast<std::uint64_t>(kind))};
    for (int i = 0; i < drawn; ++i) {
      pipeline_job job{
          .pipelines = d.roll(1, 3), .stages = d.roll(2, 4), .microbatches = d.roll(2, 6)};
      auto const low = kind == prices::alike ? 80 : 1, high = kind == prices::alike   ? 120
                                                              : kind == prices::apart ? 20
                                                                                      : 1;
      auto const costs = [&] {
        std::vector<ticks> each;
        for (std::int32_t s = 0; s < job.stages; ++s) each.push_back(d.roll(low, high));
        return per_stage(std::move(each));
      };
      job.costs.forward = costs();
      job.costs.backward_input = costs();
      job.costs.backward_weight = costs();
      job.transfer = kind == prices::unit ? 0 : kind == prices::alike ? 5 : d.roll(1, 10);
      job.memory = stash_cap::per_worker(d.roll(2, job.stages + 1));
      if (job.pipelines > 1 && d.roll(0, 1) == 0)
        job.dead = {{d.roll(0, job.pipelines - 1), d.roll(0, job.stages - 1)}};
      bool const stagger = d.roll(0, 1) == 0;
      auto const best = branch_and_bound{.stagger = stagger, .most_nodes = 6'000}(job);
      if (best.status == status::optimal) jobs.push_back({std::move(job), stagger, best.objective});
    }
  }
};

// Counters: jobs, those with a proved optimum, of them at it (or below it, by other routes), mean
// distance; the time is that of all of them.
template <class Make>
void small_jobs_with_caps(benchmark::State& state, Make const& solver) {
  sample const of(static_cast<prices>(state.range(0)));
  double distance = 0;
  std::int64_t exact = 0;
  for (auto _ : state) {
    distance = 0;
    exact = 0;
    for (auto const& [job, stagger, optimum] : of.jobs) {
      auto const answer = solver(stagger)(job);
      distance += std::max(0.0, answer.objective / optimum - 1);
      exact += answer.objective <= optimum;
    }
  }
  auto const proved = static_cast<double>(of.jobs.size());
  state.counters["jobs"] = of.drawn;
  state.counters["proved"] = proved;
  state.counters["exact_percent"] = 100 * static_cast<double>(exact) / proved;
  state.counters["distance_percent"] = 100 * distance / proved;
}

void slipstream_alone(benchmark::State& state) {
  small_jobs_with_caps(state, [](bool stagger) { return slipstream{.stagger = stagger}; });
}
void slipstream_improved(benchmark::State& state) {
  small_jobs_with_caps(
      state, [](bool stagger) { return slipstream{.stagger = stagger} | improve_order{}; });
}
void slipstream_improved_and_proved(benchmark::State& state) {
  small_jobs_with_caps(state, [](bool stagger) {
    return portfolio(slipstream{.stagger = stagger} | improve_order{.effort = 500'000},
                     branch_and_bound{.stagger = stagger, .most_nodes = 6'000});
  });
}
BENCHMARK(slipstream_alone)->Unit(benchmark::kMillisecond)->DenseRange(0, 2);
BENCHMARK(slipstream_improved)->Unit(benchmark::kMillisecond)->DenseRange(0, 2);
BENCHMARK(slipstream_improved_and_proved)->Unit(benchmark::kMillisecond)->DenseRange(0, 2);

// D = 3, S = 4, M = 6, unit costs. Arguments: dead ranks of stage 2, split, staggered, cap (0 none,
// -1 that of 1F1B).
void proof(benchmark::State& state) {
  pipeline_job job{.pipelines = 3, .stages = 4, .microbatches = 6};
  for (std::int32_t i = 0; i < state.range(0); ++i) job.dead.push_back({1 - i, 2});
  if (state.range(3) < 0) job.memory = stash_cap::one_f_one_b();
  if (state.range(3) > 0) job.memory = stash_cap::per_worker(state.range(3));
  branch_and_bound const solver{.split = state.range(1) != 0,
                                .stagger = state.range(2) != 0,
                                .rule = routing::round_robin,
                                .most_nodes = 20'000};
  solution<pipeline_schedule> answer;
  for (auto _ : state) answer = solver(job);
  state.counters["period"] = answer.objective;
  state.counters["bound"] = answer.lower_bound;
}
BENCHMARK(proof)
    ->Unit(benchmark::kMillisecond)
    ->Args({0, 0, 0, -1})
    ->Args({0, 1, 0, 0})
    ->Args({0, 1, 1, 0})
    ->Args({0, 1, 1, 3})
    ->Args({1, 0, 0, -1})
    ->Args({1, 1, 0, 0})
    ->Args({1, 1, 1, 0})
    ->Args({1, 1, 1, 5})
    ->Args({2, 1, 1, 0});

}  // namespace
