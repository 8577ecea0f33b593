#pragma once
#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>
#include <span>

#include "shunt/core/host_device.hpp"
#include "shunt/cuda/buffer.hpp"
#include "shunt/cuda/cublas_products.hpp"
#include "shunt/cuda/error.hpp"
#include "shunt/cuda/stream.hpp"
#include "shunt/cuda/system.hpp"
#include "shunt/device/product_shape.hpp"

namespace shunt {

/// A function object of items that does nothing where the condition isn't null and its word is 0.
template <class Items>
struct on_condition {
  Items f;
  std::int64_t const* condition;

  SHUNT_HD void operator()(std::int64_t i) const {
    if (condition == nullptr || *condition != 0) f(i);
  }
};

/// A GPU as a matrix_device (train/training_device.hpp), with cuBLASLt for products, and a
/// team_device where the kernels have teams. `Kernels` is what nvcc has to compile: the launchers
/// that basic_cuda_system asks for; launch(stream, n, f, condition), which enqueues f(0) .. f(n -
/// 1) on that condition; and launch_team(stream, f, condition), if it is there (training_kernels in
/// training_kernels.cuh has all). Throws cuda_error and cublas_error.
template <class Kernels>
class cuda_training_device {
 public:
  using system = basic_cuda_system<Kernels>;

  explicit cuda_training_device(int number) : streams_(number) {}

  [[nodiscard]] system& streams() { return streams_; }
  void settle() { streams_.synchronize(); }
  [[nodiscard]] cuda_buffer memory(std::size_t size) { return streams_.make_memory(size); }
  void read(std::span<std::byte const> from, std::span<std::byte> to) { copied(from, to); }
  void write(std::span<std::byte const> from, std::span<std::byte> to) { copied(from, to); }
  void copy(std::span<std::byte const> from, std::span<std::byte> to) { copied(from, to); }

  template <class Items>
  void each(cuda_stream_ref on, std::int64_t n, Items const& f, std::int64_t const* condition) {
    Kernels::launch(on, n, f, condition);
  }
  template <class F>
    requires requires(cuda_stream_ref on, F const& f) { Kernels::launch_team(on, f, nullptr); }
  void team(cuda_stream_ref on, F const& f, std::int64_t const* condition) {
    Kernels::launch_team(on, f, condition);
  }
  template <class T>
  void multiply(cuda_stream_ref on, product_shape const& shape, T const* a, T const* b, T* c) {
    products_(on, shape, a, b, c);
  }

 private:
  /// On a stream of its own, to its end; streams that are at work go on.
  void copied(std::span<std::byte const> from, std::span<std::byte> to) {
    if (from.empty()) return;
    cuda_check(
        cudaMemcpyAsync(to.data(), from.data(), from.size(), cudaMemcpyDefault, copies_.get()),
        "cudaMemcpyAsync");
    copies_.synchronize();
  }

  system streams_;  // makes the device current
  cuda_stream copies_{};
  cublas_products products_{};
};

}  // namespace shunt
