// Placement, split and dispatch on the device. Target: 58 layers x 256 experts x 288 slots in one
// launch, swift_moe in at most 50 us and eplb in at most 150 us on an H100.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstdint>
#include <vector>

#include "../expert_loads.hpp"
#include "device_time.hpp"
#include "shunt/cuda/dispatch.cuh"
#include "shunt/cuda/launch.cuh"
#include "shunt/cuda/on_stream.cuh"
#include "shunt/cuda/popularity.cuh"
#include "shunt/device/eplb_layers.hpp"
#include "shunt/device/split_layers.hpp"
#include "shunt/device/swift_moe_layers.hpp"

namespace {

using shunt_benchmark::no_gpu;
using shunt_benchmark::on_device;
using shunt_benchmark::time_on_device;

/// 65,536 tokens a layer, or 16 for every expert.
std::vector<std::int64_t> loads_of(std::int32_t layers, std::int32_t experts, bool tied) {
  auto all = expert_loads::skewed(layers, experts, experts, 1).loads;
  if (tied) std::ranges::fill(all, 16);
  return all;
}

std::vector<std::int32_t> first_slots(std::int32_t slots, std::int32_t ranks) {
  std::vector<std::int32_t> first;
  for (std::int32_t r = 0; r <= ranks; ++r)
    first.push_back(r * (slots / ranks) + (r < slots % ranks ? r : slots % ranks));
  return first;
}

// {layers, experts, slots, ranks, all loads equal}
void swift_moe(benchmark::State& state) {
  if (no_gpu(state)) return;
  auto const layers = static_cast<std::int32_t>(state.range(0)),
             experts = static_cast<std::int32_t>(state.range(1));
  auto const slots = static_cast<std::int32_t>(state.range(2));
  auto const loads = on_device(loads_of(layers, experts, state.range(4) != 0));
  shunt::cuda_buffer const placed(static_cast<std::size_t>(layers) *
                                  static_cast<std::size_t>(slots) * 4);
  shunt::swift_moe_layers const work{loads.as<std::int64_t>().data(), experts, slots,
                                     placed.as<std::int32_t>().data()};
  time_on_device(state, 50,
                 [&](shunt::cuda_stream_ref on) { shunt::run_layers(work, layers, on); });
}
BENCHMARK(swift_moe)
    ->UseManualTime()
    ->Unit(benchmark::kMicrosecond)
    ->Args({58, 256, 288, 32, 0})
    ->Args({58, 256, 288, 32, 1})
    ->Args({1, 256, 288, 32, 0})
    ->Args({24, 16, 64, 16, 0});

void eplb(benchmark::State& state) {
  if (no_gpu(state)) return;
  auto const layers = static_cast<std::int32_t>(state.range(0)),
             experts = static_cast<std::int32_t>(state.range(1));
  auto const slots = static_cast<std::int32_t>(state.range(2)),
             ranks = static_cast<std::int32_t>(state.range(3));
  auto const loads = on_device(loads_of(layers, experts, state.range(4) != 0));
  auto const first_slot = on_device(first_slots(slots, ranks));
  shunt::cuda_buffer const placed(static_cast<std::size_t>(layers) *
                                  static_cast<std::size_t>(slots) * 4);
  shunt::eplb_layers const work{
      loads.as<std::int64_t>().data(), experts, ranks, slots, first_slot.as<std::int32_t>().data(),
      placed.as<std::int32_t>().data()};
  time_on_device(state, 50,
                 [&](shunt::cuda_stream_ref on) { shunt::run_layers(work, layers, on); });
}
BENCHMARK(eplb)
    ->UseManualTime()
    ->Unit(benchmark::kMicrosecond)
    ->Args({58, 256, 288, 32, 0})
    ->Args({58, 256, 288, 32, 1})
    ->Args({1, 256, 288, 32, 0})
    ->Args({24, 16, 64, 16, 0});

/// What a rank does between routing a layer and its exchange: popularity, split, dispatch. {tokens,
/// experts, slots, ranks}
void dispatch(benchmark::State& state) {
  if (no_gpu(state)) return;
  auto const n = static_cast<std::int32_t>(state.range(0)),
             experts = static_cast<std::int32_t>(state.range(1));
  auto const slots = static_cast<std::int32_t>(state.range(2)),
             ranks = static_cast<std::int32_t>(state.range(3));
  auto const cells = static_cast<std::size_t>(ranks) * static_cast<std::size_t>(experts);
  std::mt19937_64 random(8);
  std::vector<std::int32_t> ids, expert_of;
  for (std::int32_t t = 0; t < n; ++t)
    ids.push_back(static_cast<std::int32_t>(random() % static_cast<std::uint64_t>(experts)));
  for (std::int32_t s = 0; s < slots; ++s) expert_of.push_back(s % experts);
  std::vector<std::int64_t> counts(cells, n / experts);
  auto const d_ids = on_device(ids), d_expert = on_device(expert_of),
             d_first = on_device(first_slots(slots, ranks)), d_counts = on_device(counts);

  shunt::popularity_count count(n, experts);
  shunt::cuda_buffer const workspace(count.workspace_bytes()),
      own(static_cast<std::size_t>(experts) * 8);
  auto const width = static_cast<std::size_t>(slots);
  shunt::cuda_buffer const tokens(static_cast<std::size_t>(ranks) * width * 8), dropped(cells * 8),
      hosted(width * 4), ends(static_cast<std::size_t>(experts) * 4), first_row(width * 8),
      rest(cells * 4);
  std::int64_t const rows = std::int64_t{ranks} * n;
  shunt::cuda_buffer const row_of(static_cast<std::size_t>(n) * 4),
      token_of(static_cast<std::size_t>(rows) * 4), sorted(static_cast<std::size_t>(n) * 4),
      order(static_cast<std::size_t>(n) * 4), first(static_cast<std::size_t>(experts) * 4);
  shunt::split_layers const split{.ranks = ranks,
                                  .experts = experts,
                                  .slots = slots,
                                  .first_slot = d_first.as<std::int32_t>().data(),
                                  .expert_of = d_expert.as<std::int32_t>().data(),
                                  .counts = d_counts.as<std::int64_t>().data(),
                                  .tokens = tokens.as<std::int64_t>().data(),
                                  .dropped = dropped.as<std::int64_t>().data(),
                                  .hosted = hosted.as<std::int32_t>().data(),
                                  .hosted_end = ends.as<std::int32_t>().data(),
                                  .part_rows = n,
                                  .first_row = first_row.as<std::int64_t>().data(),
                                  .rest = rest.as<std::int32_t>().data()};
  shunt::token_dispatch const places{.n = n,
                                     .experts = experts,
                                     .rows = rows,
                                     .expert_of_token = d_ids.as<std::int32_t>().data(),
                                     .tokens = split.tokens,
                                     .hosted = split.hosted,
                                     .hosted_end = split.hosted_end,
                                     .first_row = split.first_row,
                                     .row_of = row_of.as<std::int32_t>().data(),
                                     .token_of = token_of.as<std::int32_t>().data(),
                                     .sorted = sorted.as<std::uint32_t>().data(),
                                     .order = order.as<std::int32_t>().data(),
                                     .first = first.as<std::int32_t>().data()};
  time_on_device(state, 20, [&](shunt::cuda_stream_ref on) {
    count(d_ids.as<std::int32_t>().data(), n, own.as<std::int64_t>().data(), workspace.data(), on);
    shunt::run_layers(split, 1, on);
    shunt::stream_memory memory(on);
    shunt::dispatch_tokens(shunt::on_stream(memory), places);
  });
}
BENCHMARK(dispatch)
    ->UseManualTime()
    ->Unit(benchmark::kMicrosecond)
    ->Args({65536, 256, 288, 32})
    ->Args({8192, 16, 64, 16});

}  // namespace
