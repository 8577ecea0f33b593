#pragma once
#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>
#include <span>

#include "products.hpp"
#include "shunt/cuda/buffer.hpp"
#include "shunt/cuda/error.hpp"
#include "shunt/cuda/stream.hpp"
#include "shunt/cuda/system.hpp"
#include "shunt/execute/stream_system.hpp"
#include "shunt/program/program.hpp"
#include "training_device.hpp"

namespace example {

/// What nvcc has to compile, in a source of its own: the launchers of shunt::cuda_kernels, and `launch`, which enqueues f(0) .. f(n - 1)
/// where the condition isn't null and its word is not 0. The linker misses a function object that the source doesn't instantiate it for.
struct nvcc_kernels {
  static void move(cudaStream_t on, std::span<shunt::stream_part const> parts, std::int64_t const* guard);
  static void fold(cudaStream_t on, shunt::element type, shunt::reduction how, std::span<std::byte const* const> sources,
                   std::span<std::byte* const> targets, std::size_t size, std::int64_t const* guard);
  static void fill(cudaStream_t on, std::span<std::byte> target, std::int64_t const* guard);
  template <class Items>
  static void launch(shunt::cuda_stream_ref on, std::int64_t n, Items const& f, std::int64_t const* condition);
};

/// A GPU as a training_device, with cuBLASLt for products. Throws cuda_error and cublas_error.
class cuda_training_device {
 public:
  using system = shunt::basic_cuda_system<nvcc_kernels>;

  explicit cuda_training_device(int number) : streams_(number) {}

  [[nodiscard]] system& streams() { return streams_; }
  void settle() { streams_.synchronize(); }
  [[nodiscard]] shunt::cuda_buffer memory(std::size_t size) { return streams_.make_memory(size); }
  void read(std::span<std::byte const> from, std::span<std::byte> to) { copied(from, to); }
  void write(std::span<std::byte const> from, std::span<std::byte> to) { copied(from, to); }
  void copy(std::span<std::byte const> from, std::span<std::byte> to) { copied(from, to); }

  template <class Items>
  void each(shunt::cuda_stream_ref on, std::int64_t n, Items const& f, std::int64_t const* condition) {
    nvcc_kernels::launch(on, n, f, condition);
  }
  void multiply(shunt::cuda_stream_ref on, product_shape const& shape, float const* a, float const* b, float* c) {
    products_(on, shape, a, b, c);
  }

 private:
  /// On a stream of its own, to its end; streams that are at work go on.
  void copied(std::span<std::byte const> from, std::span<std::byte> to) {
    if (from.empty()) return;
    shunt::cuda_check(cudaMemcpyAsync(to.data(), from.data(), from.size(), cudaMemcpyDefault, copies_.get()), "cudaMemcpyAsync");
    copies_.synchronize();
  }

  system streams_;  // makes the device current
  shunt::cuda_stream copies_{};
  products products_{};
};

static_assert(training_device<cuda_training_device>);

}  // namespace example
