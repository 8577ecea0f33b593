// Plans around dead workers against the lower bound, how long large ones take, and how long an
// interrupted iteration takes again, whole and salvaged. SHUNT_BENCHMARK_JOBS=2000 (default 10)
// sets the number of random jobs; with 1000 and more the rows of 16,384 workers are there as well.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <ctime>
#include <map>
#include <optional>
#include <random>
#include <span>
#include <utility>
#include <vector>

#include "shunt/core/id.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/core/operation.hpp"
#include "shunt/core/solution.hpp"
#include "shunt/core/units.hpp"
#include "shunt/execute/executor.hpp"
#include "shunt/execute/inline_executor.hpp"
#include "shunt/execute/recovery.hpp"
#include "shunt/execute/work.hpp"
#include "shunt/lower/pipeline.hpp"
#include "shunt/lower/pipeline_buffers.hpp"
#include "shunt/lower/salvage.hpp"
#include "shunt/measure/pipeline.hpp"
#include "shunt/measure/times.hpp"
#include "shunt/plan/pipeline_schedule.hpp"
#include "shunt/problem/pipeline_job.hpp"
#include "shunt/problem/stage_costs.hpp"
#include "shunt/problem/stage_layout.hpp"
#include "shunt/problem/worker_losses.hpp"
#include "shunt/program/interrupted.hpp"
#include "shunt/simulate/cost_model.hpp"
#include "shunt/simulate/simulated_executor.hpp"
#include "shunt/solve/author/pipeline.hpp"
#include "shunt/solve/pipeline/loss_planner.hpp"
#include "shunt/solve/pipeline/one_f_one_b.hpp"
#include "shunt/solve/pipeline/search/merge_streams.hpp"
#include "shunt/solve/pipeline/slipstream.hpp"
#include "shunt/train/host_memory.hpp"
#include "shunt/train/pipeline_run.hpp"
#include "shunt/train/pipeline_training.hpp"
#include "shunt/train/watched_work.hpp"

namespace {

using namespace shunt;

class random_cases {
 public:
  explicit random_cases(std::uint64_t seed) : engine_(seed) {}
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

enum class family {
  unit,
  near,
  wide
};  // costs 1; 80 to 120 and transfer 5; 1 to 20 and transfer 1 to 10

// D and S in 2..8, M in 4..32, up to two dead workers a stage and a live one.
pipeline_job random_job(random_cases& d, family of) {
  pipeline_job job{
      .pipelines = d.roll(2, 8), .stages = d.roll(2, 8), .microbatches = d.roll(4, 32)};
  auto const costs = [&](std::int32_t low, std::int32_t high) {
    std::vector<ticks> each;
    for (std::int32_t s = 0; s < job.stages; ++s) each.push_back(d.roll(low, high));
    return per_stage(std::move(each));
  };
  if (of == family::near) {
    job.costs = {.forward = costs(80, 120),
                 .backward_input = costs(80, 120),
                 .backward_weight = costs(80, 120)};
    job.transfer = 5;
  }
  if (of == family::wide) {
    job.costs = {
        .forward = costs(1, 20), .backward_input = costs(1, 20), .backward_weight = costs(1, 20)};
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

// Counters in percent: plans at the bound, the same where M >= 2 S, mean gap to the bound; the time
// is that of all jobs.
void at_the_bound(benchmark::State& state) {
  random_cases d(100 + static_cast<std::uint64_t>(state.range(0)));
  std::vector<pipeline_job> all;
  for (int i = 0; i < jobs(); ++i)
    all.push_back(random_job(d, static_cast<family>(state.range(0))));
  slipstream const solver{.effort = state.range(1)};
  double reached = 0, deep = 0, deep_reached = 0, gap = 0, slowest = 0;
  for (auto _ : state) {
    reached = deep = deep_reached = gap = slowest = 0;
    for (auto const& job : all) {
      auto const from = std::chrono::steady_clock::now();
      auto const answer = solver(job);
      slowest = std::max(slowest, std::chrono::duration<double, std::milli>(
                                      std::chrono::steady_clock::now() - from)
                                      .count());
      bool const at = answer.objective == answer.lower_bound,
                 is_deep = job.microbatches[0] >= 2 * job.stages;
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

// The least that can go back: no bytes but those of the flags.
struct idle_work {
  std::array<std::byte, 64> bytes{};
  void operator()(rank_id, task const&) const {}
  [[nodiscard]] std::span<std::byte> buffer(rank_id, buffer_id) { return bytes; }
  void restore(rank_id, std::int64_t) const {}
};

// A job in which one rank falls silent, with its plan for each.
struct losses_of_one {
  pipeline_job const job;
  std::map<std::vector<rank_id>, std::pair<pipeline_job, pipeline_schedule>> plans{};

  static constexpr pipeline_tensors tensors() {
    return {.activation = 0, .stash = 0, .gradient = 0, .state = 0};
  }

  std::pair<pipeline_job, pipeline_schedule> const& around(std::span<rank_id const> dead) {
    std::vector<rank_id> const key(dead.begin(), dead.end());
    if (auto const known = plans.find(key); known != plans.end()) return known->second;
    auto without = job;
    for (rank_id const r : dead) without.dead.push_back(job.worker_of(r));
    auto plan = slipstream{}(without).plan;
    return plans.emplace(key, std::pair(std::move(without), std::move(plan))).first->second;
  }

  struct redone {
    ticks took = 0;  // from the start of the session after the loss until the iteration is complete
    std::int64_t kept = 0;
  };
  // Nothing where the loss interrupts no iteration.
  std::optional<redone> after(failure_point const& failure, ticks timeout, bool salvage) {
    idle_work w;
    bool interrupted = false;
    std::optional<redone> answer;
    auto const plan = [&](std::span<rank_id const> dead) {
      auto const& [without, found] = around(dead);
      return std::optional(lower_salvageable(without, found, {}, tensors()));
    };
    recovery config{.end = 3};
    config.salvage = [&](std::span<rank_id const> dead,
                         interrupted_iteration const& at) -> std::optional<salvaged> {
      interrupted = true;
      if (!salvage) return std::nullopt;
      auto const& [without, found] = around(dead);
      auto const kept = find_surviving_gradients(without, at);
      return salvaged{lower_salvageable(without, found, kept, tensors()), terms_in(kept),
                      static_cast<std::int64_t>(job.cells())};
    };
    auto const on_completed = [&](completed_iteration const& c) {
      if (!c.dead.empty() && !answer) answer = redone{c.ended_at};
    };
    auto const report = run_through_losses(
        simulated_executor{.cost = job_costs(job), .failures = {failure}, .timeout = timeout}, w,
        config, plan, on_completed);
    if (!interrupted || !answer) return std::nullopt;
    answer->kept = report.losses.front().kept;
    return answer;
  }
};

// Mean ticks over every rank of 3 x 4 x 6 and every instruction of its second iteration of three,
// before which it falls silent; backward passes kept, in percent. The argument is for how many
// ticks of silence the others go on.
void redo_after_a_loss(benchmark::State& state) {
  losses_of_one all{{.pipelines = 3, .stages = 4, .microbatches = 6, .costs = {1, 1, 1, 3}}};
  auto const p = lower_salvageable(all.job, all.around({}).second, {}, losses_of_one::tensors());
  double whole = 0, rest = 0, kept = 0, count = 0;
  for (auto _ : state) {
    whole = rest = kept = count = 0;
    for (rank_id r : ids<rank_id>(p.ranks.size()))
      for (std::int32_t at = 0; at <= static_cast<std::int32_t>(p.ranks[r].instructions.size());
           ++at) {
        auto const before = all.after({r, 1, at}, state.range(0), false),
                   now = all.after({r, 1, at}, state.range(0), true);
        if (!before || !now) continue;
        whole += static_cast<double>(before->took);
        rest += static_cast<double>(now->took);
        kept += static_cast<double>(now->kept);
        ++count;
      }
  }
  state.counters["losses"] = count;
  state.counters["whole"] = whole / count;
  state.counters["salvaged"] = rest / count;
  state.counters["ratio"] = rest / whole;
  state.counters["kept_percent"] = 100 * kept / (count * static_cast<double>(all.job.cells()));
}
BENCHMARK(redo_after_a_loss)
    ->Unit(benchmark::kMillisecond)
    ->Iterations(1)
    ->ArgName("timeout")
    ->Arg(0)
    ->Arg(3)
    ->Arg(10)
    ->Arg(30);

pipeline_job large_job(std::int32_t pipelines, std::int32_t stages, int dead) {
  pipeline_job job{
      .pipelines = pipelines,
      .stages = stages,
      .microbatches = 64,
      .costs = {.forward = 100, .backward_input = 105, .backward_weight = 85, .step = 50},
      .transfer = 5};
  random_cases d(7);
  while (static_cast<int>(job.dead.size()) < dead)
    if (worker const w{d.roll(0, pipelines - 1), d.roll(0, stages - 1)}; job.alive(w))
      job.dead.push_back(w);
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

// The best of all moves for 1,024 workers of 4 layers each, 50 of them dead. "period" is that of
// the plan, "rerouted" that of re-routing alone.
void answer_losses(benchmark::State& state) {
  std::vector<rank_id> layout;
  for (std::int32_t p = 0; p < 64; ++p)
    for (std::int32_t s = 0; s < 64; ++s) layout.push_back(p * 16 + s / 4);
  worker_losses losses{.job = {.pipelines = 64,
                               .stages = 64,
                               .microbatches = static_cast<std::int32_t>(state.range(0)),
                               .layout = stage_layout::custom(std::move(layout))},
                       .state = 1,
                       .state_limit = 6};
  for (std::int32_t k = 0; k < 50; ++k)
    losses.job.dead.push_back(losses.job.worker_of(k * 20 + k * 7 % 13));
  for (auto _ : state) {
    auto const answer = loss_planner{}(losses);
    state.counters["period"] = answer.objective;
    state.counters["bound"] = answer.lower_bound;
    state.counters["rerouted"] = static_cast<double>(answer.plan.moves.front().period);
    state.counters["move"] = static_cast<double>(answer.plan.move);
  }
}
BENCHMARK(answer_losses)->Arg(16)->Arg(32)->Unit(benchmark::kMillisecond);

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
  auto const job = large_job(static_cast<std::int32_t>(state.range(0)),
                             static_cast<std::int32_t>(state.range(1)), 0);
  auto const plan = steady_plan(job);
  for (auto _ : state) benchmark::DoNotOptimize(times(job, plan));
}
void measure_period(benchmark::State& state) {
  auto const job = large_job(static_cast<std::int32_t>(state.range(0)),
                             static_cast<std::int32_t>(state.range(1)), 0);
  auto const plan = steady_plan(job);
  for (auto _ : state) benchmark::DoNotOptimize(period(job, plan));
}
void simulate_iteration(benchmark::State& state) {
  auto const job = large_job(static_cast<std::int32_t>(state.range(0)),
                             static_cast<std::int32_t>(state.range(1)), 0);
  auto const program = lower(job, steady_plan(job));
  for (auto _ : state) benchmark::DoNotOptimize(simulated_executor{job_costs(job)}.run(program));
  state.counters["instructions"] = static_cast<double>(program.instructions());
}
void workers(benchmark::internal::Benchmark* b) {
  b->Unit(benchmark::kMillisecond)->Args({8, 16});
  if (jobs() >= 1000) b->Args({64, 16})->Args({512, 32});
}
BENCHMARK(measure_iteration)->Apply(workers);
BENCHMARK(measure_period)->Apply(workers);
BENCHMARK(simulate_iteration)->Apply(workers);

double processor_seconds() { return static_cast<double>(std::clock()) / CLOCKS_PER_SEC; }

void compute(std::int64_t rounds) {
  std::uint64_t x = 1;
  for (; rounds > 0; --rounds) benchmark::DoNotOptimize(x = x * 6364136223846793005U + 1);
}

// Returns how many rounds of `compute` take a microsecond.
double rounds_a_microsecond() {
  constexpr std::int64_t many = 20'000'000;
  double const start = processor_seconds();
  compute(many);
  return static_cast<double>(many) / (processor_seconds() - start) * 1e-6;
}

// A work of a pipeline that computes so many rounds in every operation.
class busy_work {
 public:
  busy_work(pipeline_training t, std::int64_t each)
      : training_(std::move(t)),
        each_(each),
        memory_(static_cast<std::size_t>(training_.job.ranks())) {}

  [[nodiscard]] pipeline_training const& training() const { return training_; }
  [[nodiscard]] pipeline_tensors tensors() const { return {}; }
  void fit(program const& p) { memory_.grow(p); }
  [[nodiscard]] std::span<std::byte> buffer(rank_id r, buffer_id b) { return memory_(r, b); }
  void operator()(rank_id, task const&) const { compute(each_); }
  void restore(rank_id, std::int64_t) {}
  void replace(rank_id, std::int64_t) {}
  [[nodiscard]] double loss(std::int64_t) const { return 0; }

 private:
  pipeline_training training_;
  std::int64_t each_;
  host_memory memory_;
};

// Trains 3 x 4 workers with and without a watch for slow ones, on one thread, in turns. Argument:
// microseconds an operation. Counters: the processor time of watching, the median over pairs, in
// nanoseconds a forward or backward and in percent of the whole. Where operations take no time the
// first has the least noise.
void watch_for_slow(benchmark::State& state) {
  pipeline_training const training{
      .job = {.pipelines = 3, .stages = 4, .microbatches = 6, .costs = {.step = 1}},
      .iterations = 4};
  auto const rounds =
      static_cast<std::int64_t>(static_cast<double>(state.range(0)) * rounds_a_microsecond());
  auto const seconds = [&](bool watches) {
    watched_work work(busy_work(training, rounds));
    pipeline_run run(work, one_f_one_b{});
    if (watches) run.watch();
    static_cast<void>(run.plan_without({}));
    double const start = processor_seconds();
    benchmark::DoNotOptimize(run(inline_executor{}));
    return processor_seconds() - start;
  };
  auto const measured = static_cast<double>(2 * training.iterations * 2 * 3 * 4 * 6);
  std::vector<double> ratios, each;
  for (auto _ : state) {
    double const first = seconds(false), watched = seconds(true) + seconds(true),
                 plain = first + seconds(false);
    ratios.push_back(watched / plain - 1);
    each.push_back((watched - plain) / measured);
  }
  auto const median = [](std::vector<double>& all) {
    std::sort(all.begin(), all.end());
    return all[all.size() / 2];
  };
  state.counters["nanoseconds"] = 1e9 * median(each);
  if (rounds > 0) state.counters["percent"] = 100 * median(ratios);
}
BENCHMARK(watch_for_slow)->Unit(benchmark::kMillisecond)->MinTime(4)->Arg(0)->Arg(50)->Arg(100);

}  // namespace
