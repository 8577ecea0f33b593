#pragma once
#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>
#include <span>

#include "../streams/device.hpp"
#include "cuda/products.hpp"
#include "shunt/cuda/launch.cuh"
#include "shunt/cuda/streams.cuh"

namespace example::moe {

/// A function object that does nothing where the word of its condition is 0.
template <class F>
struct conditional {
  F run{};
  std::int64_t const* condition = nullptr;

  __device__ void operator()(std::int64_t i) const {
    if (condition == nullptr || *condition != 0) run(i);
  }
};
template <class F>
struct conditional_team {
  F run{};
  std::int64_t const* condition = nullptr;

  [[nodiscard]] constexpr std::int64_t shared_bytes() const { return run.shared_bytes(); }
  template <class Team>
  __device__ void operator()(Team const& team, std::int32_t layer, unsigned char* shared) const {
    if (condition == nullptr || *condition != 0) run(team, layer, shared);
  }
};

/// One GPU as a device of this training: kernels for items and teams, cuBLASLt for products.
class cuda_device {
 public:
  using system = shunt::cuda_system;

  explicit cuda_device(int number) : streams_(number) {}

  [[nodiscard]] system& streams() { return streams_; }

  template <class F>
  void each(shunt::cuda_stream_ref on, std::int64_t n, F const& f, std::int64_t const* condition) {
    shunt::run_items(conditional<F>{f, condition}, n, on);
  }
  template <class F>
  void team(shunt::cuda_stream_ref on, F const& f, std::int64_t const* condition) {
    shunt::run_layers(conditional_team<F>{f, condition}, 1, on);
  }
  template <class T>
  void multiply(shunt::cuda_stream_ref on, product_shape const& s, T const* a, T const* b, T* c) {
    products_(on, s, a, b, c);
  }

  void settle() { streams_.synchronize(); }
  [[nodiscard]] system::memory memory(std::size_t size) { return streams_.make_memory(size); }
  void read(std::span<std::byte const> from, std::span<std::byte> to) { move(from, to); }
  void write(std::span<std::byte const> from, std::span<std::byte> to) { move(from, to); }
  void copy(std::span<std::byte const> from, std::span<std::byte> to) { move(from, to); }

 private:
  static void move(std::span<std::byte const> from, std::span<std::byte> to) {
    if (from.empty()) return;
    shunt::cuda_check(cudaMemcpyAsync(to.data(), from.data(), from.size(), cudaMemcpyDefault, cudaStreamPerThread), "cudaMemcpyAsync");
    shunt::cuda_check(cudaStreamSynchronize(cudaStreamPerThread), "cudaStreamSynchronize");
  }

  system streams_;
  products products_{};
};
static_assert(device<cuda_device>);

}  // namespace example::moe
