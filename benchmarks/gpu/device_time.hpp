#pragma once
#include <benchmark/benchmark.h>
#include <cuda_runtime_api.h>

#include <cstdint>
#include <vector>

#include "shunt/cuda/buffer.hpp"
#include "shunt/cuda/device.hpp"
#include "shunt/cuda/error.hpp"
#include "shunt/cuda/event.hpp"
#include "shunt/cuda/stream.hpp"

namespace shunt_benchmark {

/// Device time of what `enqueue(stream)` puts on a stream: the mean of `batch` in a row, between
/// two events. One warm-up before.
template <class Enqueue>
void time_on_device(benchmark::State& state, int batch, Enqueue const& enqueue) {
  shunt::cuda_stream const stream;
  shunt::cuda_event const start(shunt::cuda_event::kind::timed),
      end(shunt::cuda_event::kind::timed);
  enqueue(shunt::cuda_stream_ref(stream));
  stream.synchronize();
  for (auto _ : state) {
    shunt::cuda_event_ref(start).record(stream);
    for (int i = 0; i < batch; ++i) enqueue(shunt::cuda_stream_ref(stream));
    shunt::cuda_event_ref(end).record(stream);
    stream.synchronize();
    state.SetIterationTime(static_cast<double>(shunt::elapsed(start, end)) * 1e-9 / batch);
  }
}

/// Says so, and does nothing more, where there is no GPU that runs these kernels.
inline bool no_gpu(benchmark::State& state) {
  auto const gpu = shunt::first_cuda_device(80);
  if (!gpu) state.SkipWithError(gpu.reason.c_str());
  return !gpu;
}

/// What a vector holds, in the device's memory; there when the call returns.
template <class T>
shunt::cuda_buffer on_device(std::vector<T> const& values) {
  shunt::cuda_buffer out(values.size() * sizeof(T));
  if (values.empty()) return out;
  shunt::cuda_check(cudaMemcpyAsync(out.data(), values.data(), out.size(), cudaMemcpyHostToDevice,
                                    cudaStreamPerThread),
                    "cudaMemcpyAsync");
  shunt::cuda_check(cudaStreamSynchronize(cudaStreamPerThread), "cudaStreamSynchronize");
  return out;
}

/// Bytes a second, read and written, of the runtime's own copy within the device: the best of 20
/// copies of 1 GiB.
inline double copy_bandwidth() {
  static double const best = [] {
    std::size_t const size = std::size_t{1} << 30;
    shunt::cuda_buffer const from(size), to(size);
    shunt::cuda_stream const stream;
    shunt::cuda_event const start(shunt::cuda_event::kind::timed),
        end(shunt::cuda_event::kind::timed);
    double most = 0;
    for (int i = 0; i < 20; ++i) {
      shunt::cuda_event_ref(start).record(stream);
      shunt::cuda_check(
          cudaMemcpyAsync(to.data(), from.data(), size, cudaMemcpyDeviceToDevice, stream.get()),
          "cudaMemcpyAsync");
      shunt::cuda_event_ref(end).record(stream);
      stream.synchronize();
      double const here = 2.0 * static_cast<double>(size) /
                          (static_cast<double>(shunt::elapsed(start, end)) * 1e-9);
      most = here > most ? here : most;
    }
    return most;
  }();
  return best;
}

/// Counters: bytes a second, read and written, and what part of copy_bandwidth() that is.
inline void report_bytes(benchmark::State& state, double bytes) {
  using benchmark::Counter;
  state.counters["bytes_per_second"] =
      Counter(bytes, Counter::kIsIterationInvariantRate, Counter::OneK::kIs1000);
  state.counters["of_copy"] = Counter(bytes / copy_bandwidth(), Counter::kIsIterationInvariantRate);
}

}  // namespace shunt_benchmark
