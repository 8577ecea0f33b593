#include <benchmark/benchmark.h>

#include <cmath>
#include <cstdint>
#include <numbers>
#include <random>
#include <vector>

#include "shunt/lower/gradient_collection.hpp"
#include "shunt/lower/weight_scatter.hpp"
#include "shunt/solve/experts/capacity_split.hpp"
#include "shunt/solve/experts/swift_moe.hpp"
#include "shunt/solve/shards/uniform_shards.hpp"

// Sizes: {experts, slots}; a rank has 4 slots. Loads are log-normal (sigma 1), 65,536 tokens a layer, 512 different layers.

namespace {

constexpr std::int32_t layers = 512;
constexpr std::int32_t slots_of_rank = 4;

shunt::expert_layers skewed_layers(std::int32_t experts, std::int32_t slots) {
  std::mt19937_64 random(7);
  auto const fraction = [&] { return (static_cast<double>(random() >> 11) + 0.5) / 9007199254740992.0; };
  shunt::expert_layers p{.layers = layers,
                         .experts = experts,
                         .loads = {},
                         .slots_per_rank = std::vector<std::int32_t>(static_cast<std::size_t>(slots / slots_of_rank), slots_of_rank)};
  for (std::int32_t l = 0; l < layers; ++l) {
    std::vector<double> row;
    double sum = 0;
    for (std::int32_t e = 0; e < experts; ++e) {
      row.push_back(std::exp(std::sqrt(-2 * std::log(fraction())) * std::cos(2 * std::numbers::pi * fraction())));
      sum += row.back();
    }
    for (double const x : row) p.loads.push_back(static_cast<std::int64_t>(x / sum * 65536));
  }
  return p;
}

void per_layer(benchmark::State& state) {
  state.counters["per_layer"] = benchmark::Counter(layers, benchmark::Counter::kIsIterationInvariantRate | benchmark::Counter::kInvert);
}

/// The replica counts alone.
void swift_moe_counts(benchmark::State& state) {
  auto const p = skewed_layers(static_cast<std::int32_t>(state.range(0)), static_cast<std::int32_t>(state.range(1)));
  std::vector<std::int32_t> counts(static_cast<std::size_t>(p.experts));
  std::vector<std::int64_t> scratch(2 * counts.size());
  std::int32_t const slots = p.slots();
  for (auto _ : state)
    for (shunt::layer_id l : shunt::ids<shunt::layer_id>(layers)) {
      shunt::swift_moe_counts(p.loads_of(l).data(), p.experts, slots, counts.data(), scratch.data());
      benchmark::DoNotOptimize(counts.data());
      benchmark::ClobberMemory();
    }
  per_layer(state);
}
BENCHMARK(swift_moe_counts)->Args({16, 64})->Args({256, 288});

/// The whole solver: validation, counts, slots, objective and bound.
void swift_moe(benchmark::State& state) {
  auto const p = skewed_layers(static_cast<std::int32_t>(state.range(0)), static_cast<std::int32_t>(state.range(1)));
  for (auto _ : state) benchmark::DoNotOptimize(shunt::swift_moe{}(p));
  per_layer(state);
}
BENCHMARK(swift_moe)->Args({16, 64})->Args({256, 288})->Unit(benchmark::kMicrosecond);

/// One layer's tokens from all ranks, at capacity factor 1, over the placement that the layer before asked for.
void capacity_split(benchmark::State& state) {
  auto const p = skewed_layers(static_cast<std::int32_t>(state.range(0)), static_cast<std::int32_t>(state.range(1)));
  auto const placement = shunt::swift_moe{}(p).plan;
  std::vector<shunt::routed_tokens> problems;
  for (std::int32_t l = 1; l < layers; ++l) {
    std::vector<std::int64_t> counts;
    for (std::int32_t r = 0; r < p.ranks(); ++r)
      for (auto const load : p.loads_of(l)) counts.push_back((load + r) / p.ranks());
    problems.push_back(shunt::routed(placement, l - 1, std::move(counts), shunt::slot_capacity(65536, p.slots())));
  }
  std::size_t at = 0;
  for (auto _ : state) {
    benchmark::DoNotOptimize(shunt::capacity_split{}(problems[at]));
    at = (at + 1) % problems.size();
  }
}
BENCHMARK(capacity_split)->Args({16, 64})->Args({256, 288})->Unit(benchmark::kMicrosecond);

template <class Lowering>
void lowering(benchmark::State& state) {
  auto p = skewed_layers(static_cast<std::int32_t>(state.range(0)), static_cast<std::int32_t>(state.range(1)));
  p.layers = 1;
  p.loads.resize(static_cast<std::size_t>(p.experts));
  auto const placement = shunt::swift_moe{}(p).plan;
  shunt::optimizer_state const optimizer{.experts = p.experts, .ranks = p.ranks(), .elements = 1 << 20};
  auto const shards = shunt::uniform_shards{}(optimizer).plan;
  std::size_t instructions = 0;
  for (auto _ : state) instructions = lower(optimizer, placement, shards, Lowering{}).instructions();
  state.counters["instructions"] = static_cast<double>(instructions);
}
BENCHMARK(lowering<shunt::gradient_collection>)->Args({16, 64})->Args({256, 288})->Unit(benchmark::kMicrosecond);
BENCHMARK(lowering<shunt::weight_scatter>)->Args({16, 64})->Args({256, 288})->Unit(benchmark::kMicrosecond);

}  // namespace
