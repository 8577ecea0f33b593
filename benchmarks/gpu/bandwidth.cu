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
#include "shunt/problem/optimizer_state.hpp"
#include "shunt/solve/shards/cut_shards.hpp"

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

/// Fills arrays with random bits from `mask`, set where `bits` says: a range of numbers.
struct random_words {
  std::uint32_t* to = nullptr;
  std::uint32_t mask = 0, bits = 0, seed = 0;

  SHUNT_HD void operator()(std::int64_t i) const {
    auto x = static_cast<std::uint64_t>(i) + (std::uint64_t{seed} << 40);
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9U;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebU;
    to[i] = (static_cast<std::uint32_t>(x >> 32) & mask) | bits;
  }
};

/// A state of Adam in the middle of a training; zeros would take other paths of its arithmetic.
struct random_state {
  explicit random_state(std::size_t n) : w(n * 4), m(n * 4), v(n * 4) {
    constexpr std::uint32_t sign = 0x80000000, fraction = 0x7fffff;
    fill(w, sign | fraction, 0x3d000000, 1);  // 1/32 .. 1/16
    fill(m, sign | fraction, 0x38000000, 2);  // 2^-15 ..
    fill(v, fraction, 0x30000000, 3);         // 2^-31 ..
  }
  [[nodiscard]] shunt::adam_state arrays() const {
    return {w.as<float>().data(), m.as<float>().data(), v.as<float>().data()};
  }
  static void fill(shunt::cuda_buffer const& b, std::uint32_t mask, std::uint32_t bits,
                   std::uint32_t seed) {
    shunt::cuda_stream const stream;
    auto const words = b.as<std::uint32_t>();
    shunt::run_items(random_words{words.data(), mask, bits, seed},
                     static_cast<std::int64_t>(words.size()), stream);
    stream.synchronize();
  }
  shunt::cuda_buffer w, m, v;
};

/// 2^26 elements; {keeps the state}. Fixed-point gradients, random as a training's.
void adam(benchmark::State& state) {
  if (no_gpu(state)) return;
  bool const keeps = state.range(0) != 0;
  std::size_t const n = std::size_t{1} << 26;
  random_state const now(n), kept(n);
  shunt::cuda_buffer const g(n * 8), sent(n * 4);
  random_state::fill(g, 0x00ffffff, 0, 4);
  auto const clock = on_device(std::vector<shunt::adam_clock>(1));
  shunt::adam_tick const tick{.clock = clock.as<shunt::adam_clock>().data()};
  shunt::adam_step<std::int64_t> const step{.rule = {},
                                            .elements = static_cast<std::int64_t>(n),
                                            .state = now.arrays(),
                                            .gradient = g.as<std::int64_t>().data(),
                                            .unit = 0x1p60,
                                            .clock = clock.as<shunt::adam_clock>().data(),
                                            .kept = keeps ? kept.arrays() : shunt::adam_state{},
                                            .sent = sent.as<float>().data()};
  shunt::cuda_stream const once;
  shunt::run_items(tick, 1, once);
  once.synchronize();
  time_on_device(state, 1,
                 [&](shunt::cuda_stream_ref on) { shunt::run_items(step, step.items(), on); });
  report_bytes(state, static_cast<double>(n) * (8 + 12 + 12 + 4 + (keeps ? 12 : 0)));
}
BENCHMARK(adam)->UseManualTime()->Unit(benchmark::kMicrosecond)->Arg(0)->Arg(1);

void adam_rollback(benchmark::State& state) {
  if (no_gpu(state)) return;
  std::size_t const n = std::size_t{1} << 26;
  random_state const now(n), kept(n);
  shunt::adam_rollback const back{
      .elements = static_cast<std::int64_t>(n), .kept = kept.arrays(), .state = now.arrays()};
  time_on_device(state, 1,
                 [&](shunt::cuda_stream_ref on) { shunt::run_items(back, back.items(), on); });
  report_bytes(state, static_cast<double>(n) * 24);
}
BENCHMARK(adam_rollback)->UseManualTime()->Unit(benchmark::kMicrosecond);

/// One layer of the scatter, with weights in bfloat16: 16 experts of 2^28 bytes, 4 slots a rank,
/// those of an expert on neighbouring ranks. {ranks}: 15 are left after a loss and don't divide an
/// expert.
struct scatter {
  static constexpr std::int32_t slots_of_rank = 4, experts = 16;
  static constexpr std::int64_t expert_bytes = std::int64_t{1} << 28;

  explicit scatter(std::int32_t count) : ranks(count) {
    std::vector<std::int32_t> expert_of, first_slot, rank_of;
    for (std::int32_t s = 0; s < slots(); ++s) {
      expert_of.push_back((s + s / slots_of_rank) % experts);  // all different on a rank
      rank_of.push_back(s / slots_of_rank);
      if (s % slots_of_rank == 0) first_slot.push_back(s);
    }
    first_slot.push_back(slots());
    auto const map = shunt::uniform_shards{}(
        {.experts = experts, .ranks = ranks, .elements = expert_bytes / 2, .weight_bytes = 2});
    auto const parts = shunt::parts_of(map.plan, ranks, 2);
    row_bytes = (parts.longest + 15) / 16 * 16;
    packed_bytes = 0;
    for (std::int32_t const e : expert_of) packed_bytes += parts.bytes[static_cast<std::size_t>(e)];
    experts_ = on_device(expert_of);
    rank_ = on_device(rank_of);
    begin_ = on_device(parts.begin);
    bytes_ = on_device(parts.bytes);
    offset_ = on_device(parts.offset);
    first_ = on_device(first_slot);
    row_of_ = shunt::cuda_buffer(static_cast<std::size_t>(slots()) * 4);
    rows_ = shunt::cuda_buffer(static_cast<std::size_t>(ranks) * 8);
    parts_ = shunt::cuda_buffer(static_cast<std::size_t>(slots() * row_bytes));
    shards_ = shunt::cuda_buffer(static_cast<std::size_t>(experts * row_bytes));
    slots_ = shunt::cuda_buffer(static_cast<std::size_t>(slots_of_rank * expert_bytes));
    shunt::cuda_stream const stream;
    enqueue_rows(stream);
    stream.synchronize();
  }
  [[nodiscard]] std::int32_t slots() const { return ranks * slots_of_rank; }
  [[nodiscard]] shunt::scatter_rows rows() const {
    return {ranks,
            slots(),
            first_.as<std::int32_t>().data(),
            experts_.as<std::int32_t>().data(),
            row_of_.as<std::int32_t>().data(),
            rows_.as<std::int64_t>().data()};
  }
  [[nodiscard]] shunt::pack_weights pack() const {
    return {bytes_at(shards_),
            offset_.as<std::int64_t>().data(),
            bytes_.as<std::int64_t>().data(),
            experts_.as<std::int32_t>().data(),
            row_of_.as<std::int32_t>().data(),
            rank_.as<std::int32_t>().data(),
            slots_of_rank,
            row_bytes,
            bytes_at(parts_)};
  }
  [[nodiscard]] shunt::unpack_weights unpack() const {
    return {bytes_at(parts_),
            begin_.as<std::int64_t>().data(),
            bytes_.as<std::int64_t>().data(),
            experts_.as<std::int32_t>().data(),
            row_of_.as<std::int32_t>().data(),
            ranks,
            experts,
            slots_of_rank,
            row_bytes,
            expert_bytes,
            bytes_at(slots_)};
  }
  void enqueue_rows(shunt::cuda_stream_ref on) const { shunt::run_items(rows(), ranks, on); }
  void enqueue_pack(shunt::cuda_stream_ref on) const {
    shunt::run_rows(pack(), slots(), row_bytes / 16, on);
  }
  void enqueue_unpack(shunt::cuda_stream_ref on) const {
    shunt::run_rows(unpack(), slots_of_rank * ranks, row_bytes / 16, on);
  }
  [[nodiscard]] static unsigned char* bytes_at(shunt::cuda_buffer const& b) {
    return reinterpret_cast<unsigned char*>(b.data());
  }
  // Read and written.
  [[nodiscard]] double packed() const { return 2.0 * static_cast<double>(packed_bytes); }
  [[nodiscard]] static double unpacked() {
    return 2.0 * static_cast<double>(slots_of_rank * expert_bytes);
  }

  std::int32_t ranks;
  std::int64_t row_bytes = 0, packed_bytes = 0;
  shunt::cuda_buffer experts_{0}, rank_{0}, begin_{0}, bytes_{0}, offset_{0}, first_{0}, row_of_{0},
      rows_{0}, shards_{0}, parts_{0}, slots_{0};
};

void pack(benchmark::State& state) {
  if (no_gpu(state)) return;
  scatter const s(static_cast<std::int32_t>(state.range(0)));
  time_on_device(state, 10, [&](shunt::cuda_stream_ref on) { s.enqueue_pack(on); });
  report_bytes(state, s.packed());
}
void unpack(benchmark::State& state) {
  if (no_gpu(state)) return;
  scatter const s(static_cast<std::int32_t>(state.range(0)));
  time_on_device(state, 10, [&](shunt::cuda_stream_ref on) { s.enqueue_unpack(on); });
  report_bytes(state, s.unpacked());
}
/// All that a rank does but the exchange.
void whole_scatter(benchmark::State& state) {
  if (no_gpu(state)) return;
  scatter const s(static_cast<std::int32_t>(state.range(0)));
  time_on_device(state, 10, [&](shunt::cuda_stream_ref on) {
    s.enqueue_rows(on);
    s.enqueue_pack(on);
    s.enqueue_unpack(on);
  });
  report_bytes(state, s.packed() + s.unpacked());
}
BENCHMARK(pack)->UseManualTime()->Unit(benchmark::kMicrosecond)->Arg(16)->Arg(15);
BENCHMARK(unpack)->UseManualTime()->Unit(benchmark::kMicrosecond)->Arg(16)->Arg(15);
BENCHMARK(whole_scatter)->UseManualTime()->Unit(benchmark::kMicrosecond)->Arg(16)->Arg(15);

/// Four instances of one expert, 2^25 int64 elements each.
void slot_gradient_sum(benchmark::State& state) {
  if (no_gpu(state)) return;
  std::int64_t const elements = std::int64_t{1} << 25;
  auto const expert_of = on_device(std::vector<std::int32_t>{3, 3, 3, 3});
  shunt::cuda_buffer const gradients(static_cast<std::size_t>(4 * elements) * 8);
  shunt::sum_slot_gradients<std::int64_t> const work{gradients.as<std::int64_t>().data(), elements,
                                                     expert_of.as<std::int32_t>().data(), 4};
  time_on_device(state, 1,
                 [&](shunt::cuda_stream_ref on) { shunt::run_rows(work, 1, elements / 2, on); });
  report_bytes(state, 5.0 * 8 * static_cast<double>(elements));
}
BENCHMARK(slot_gradient_sum)->UseManualTime()->Unit(benchmark::kMicrosecond);

}  // namespace
