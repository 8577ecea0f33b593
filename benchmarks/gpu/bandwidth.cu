// Kernels that are as fast as memory: bytes a second, read and written, against the runtime's own
// copy. Target: at least 0.9 of it (counter of_copy).
#include <benchmark/benchmark.h>

#include <cstdint>
#include <vector>

#include "device_time.hpp"
#include "shunt/cuda/launch.cuh"
#include "shunt/device/adam_step.hpp"
#include "shunt/device/slot_gradients.hpp"
#include "shunt/device/weight_packing.hpp"

namespace {

using shunt_benchmark::no_gpu;
using shunt_benchmark::on_device;
using shunt_benchmark::report_bytes;
using shunt_benchmark::time_on_device;

void copy(benchmark::State& state) {
  if (no_gpu(state)) return;
  std::size_t const size = std::size_t{1} << 30;
  shunt::cuda_buffer const from(size), to(size);
  time_on_device(state, 1, [&](shunt::cuda_stream_ref on) {
    shunt::cuda_check(cudaMemcpyAsync(to.data(), from.data(), size, cudaMemcpyDeviceToDevice, on),
                      "cudaMemcpyAsync");
  });
  report_bytes(state, 2.0 * static_cast<double>(size));
}
BENCHMARK(copy)->UseManualTime()->Unit(benchmark::kMicrosecond);

/// 2^26 elements; {keeps the state}. Fixed-point gradients.
void adam(benchmark::State& state) {
  if (no_gpu(state)) return;
  bool const keeps = state.range(0) != 0;
  std::size_t const n = std::size_t{1} << 26;
  shunt::cuda_buffer const w(n * 4), m(n * 4), v(n * 4), kw(n * 4), km(n * 4), kv(n * 4), g(n * 8),
      sent(n * 4), clock(sizeof(shunt::adam_clock));
  auto const floats = [](shunt::cuda_buffer const& b) { return b.as<float>().data(); };
  shunt::adam_step<std::int64_t> const step{
      .rule = {},
      .elements = static_cast<std::int64_t>(n),
      .state = {floats(w), floats(m), floats(v)},
      .gradient = g.as<std::int64_t>().data(),
      .unit = 0x1p40,
      .clock = clock.as<shunt::adam_clock>().data(),
      .kept = keeps ? shunt::adam_state{floats(kw), floats(km), floats(kv)} : shunt::adam_state{},
      .sent = floats(sent)};
  time_on_device(state, 1,
                 [&](shunt::cuda_stream_ref on) { shunt::run_items(step, step.items(), on); });
  report_bytes(state, static_cast<double>(n) * (8 + 12 + 12 + 4 + (keeps ? 12 : 0)));
}
BENCHMARK(adam)->UseManualTime()->Unit(benchmark::kMicrosecond)->Arg(0)->Arg(1);

void adam_rollback(benchmark::State& state) {
  if (no_gpu(state)) return;
  std::size_t const n = std::size_t{1} << 26;
  shunt::cuda_buffer const w(n * 4), m(n * 4), v(n * 4), kw(n * 4), km(n * 4), kv(n * 4);
  auto const floats = [](shunt::cuda_buffer const& b) { return b.as<float>().data(); };
  shunt::adam_rollback const back{.elements = static_cast<std::int64_t>(n),
                                  .kept = {floats(kw), floats(km), floats(kv)},
                                  .state = {floats(w), floats(m), floats(v)}};
  time_on_device(state, 1,
                 [&](shunt::cuda_stream_ref on) { shunt::run_items(back, back.items(), on); });
  report_bytes(state, static_cast<double>(n) * 24);
}
BENCHMARK(adam_rollback)->UseManualTime()->Unit(benchmark::kMicrosecond);

// One layer of the scatter: 16 ranks with 4 slots each, 16 experts of 2^28 bytes, 4 slots an expert
// on neighbouring ranks.
constexpr std::int32_t ranks = 16, slots_of_rank = 4, experts = 16;
constexpr std::int64_t expert_bytes = std::int64_t{1} << 28, shard_bytes = expert_bytes / ranks;

struct scatter {
  scatter() {
    std::vector<std::int32_t> expert_of, first_slot, rank_of;
    for (std::int32_t s = 0; s < ranks * slots_of_rank; ++s) {
      expert_of.push_back((s + s / slots_of_rank) % experts);  // all different on a rank
      rank_of.push_back(s / slots_of_rank);
      if (s % slots_of_rank == 0) first_slot.push_back(s);
    }
    first_slot.push_back(ranks * slots_of_rank);
    std::vector<std::int64_t> begin, bytes(ranks * experts, shard_bytes), offset;
    for (std::int32_t r = 0; r < ranks; ++r)
      for (std::int32_t e = 0; e < experts; ++e) {
        begin.push_back(r * shard_bytes);
        offset.push_back(e * shard_bytes);
      }
    experts_ = on_device(expert_of);
    rank_ = on_device(rank_of);
    begin_ = on_device(begin);
    bytes_ = on_device(bytes);
    offset_ = on_device(offset);
    auto const first = on_device(first_slot);
    shunt::cuda_stream const stream;
    shunt::run_items(
        shunt::scatter_rows{ranks, ranks * slots_of_rank, first.as<std::int32_t>().data(),
                            experts_.as<std::int32_t>().data(), row_of_.as<std::int32_t>().data(),
                            rows_.as<std::int64_t>().data()},
        ranks, stream);
    stream.synchronize();
  }
  shunt::cuda_buffer experts_{0}, rank_{0}, begin_{0}, bytes_{0}, offset_{0},
      row_of_{ranks * slots_of_rank * 4}, rows_{ranks * 8};
  shunt::cuda_buffer parts_{static_cast<std::size_t>(ranks * slots_of_rank * shard_bytes)};
};

void pack(benchmark::State& state) {
  if (no_gpu(state)) return;
  scatter const s;
  shunt::cuda_buffer const shards(static_cast<std::size_t>(experts * shard_bytes));
  shunt::pack_weights const work{reinterpret_cast<unsigned char const*>(shards.data()),
                                 s.offset_.as<std::int64_t>().data(),
                                 s.bytes_.as<std::int64_t>().data(),
                                 s.experts_.as<std::int32_t>().data(),
                                 s.row_of_.as<std::int32_t>().data(),
                                 s.rank_.as<std::int32_t>().data(),
                                 slots_of_rank,
                                 shard_bytes,
                                 reinterpret_cast<unsigned char*>(s.parts_.data())};
  time_on_device(state, 10, [&](shunt::cuda_stream_ref on) {
    shunt::run_rows(work, ranks * slots_of_rank, shard_bytes / 16, on);
  });
  report_bytes(state, 2.0 * static_cast<double>(ranks * slots_of_rank * shard_bytes));
}
BENCHMARK(pack)->UseManualTime()->Unit(benchmark::kMicrosecond);

void unpack(benchmark::State& state) {
  if (no_gpu(state)) return;
  scatter const s;
  shunt::cuda_buffer const slots(static_cast<std::size_t>(slots_of_rank * expert_bytes));
  shunt::unpack_weights const work{reinterpret_cast<unsigned char const*>(s.parts_.data()),
                                   s.begin_.as<std::int64_t>().data(),
                                   s.bytes_.as<std::int64_t>().data(),
                                   s.experts_.as<std::int32_t>().data(),
                                   s.row_of_.as<std::int32_t>().data(),
                                   ranks,
                                   experts,
                                   slots_of_rank,
                                   shard_bytes,
                                   expert_bytes,
                                   reinterpret_cast<unsigned char*>(slots.data())};
  time_on_device(state, 10, [&](shunt::cuda_stream_ref on) {
    shunt::run_rows(work, slots_of_rank * ranks, shard_bytes / 16, on);
  });
  report_bytes(state, 2.0 * static_cast<double>(slots_of_rank * expert_bytes));
}
BENCHMARK(unpack)->UseManualTime()->Unit(benchmark::kMicrosecond);

/// Four instances of one expert, 2^25 int64 elements each.
void slot_gradient_sum(benchmark::State& state) {
  if (no_gpu(state)) return;
  std::int64_t const elements = std::int64_t{1} << 25;
  auto const expert_of = on_device(std::vector<std::int32_t>{3, 3, 3, 3});
  shunt::cuda_buffer const gradients(static_cast<std::size_t>(4 * elements) * 8);
  shunt::sum_slot_gradients<std::int64_t> const work{gradients.as<std::int64_t>().data(), elements,
                                                     expert_of.as<std::int32_t>().data(), 4};
  time_on_device(state, 1,
                 [&](shunt::cuda_stream_ref on) { shunt::run_rows(work, 4, elements / 2, on); });
  report_bytes(state, 5.0 * 8 * static_cast<double>(elements));
}
BENCHMARK(slot_gradient_sum)->UseManualTime()->Unit(benchmark::kMicrosecond);

}  // namespace
