#pragma once
#include <cuda_runtime_api.h>

#include <algorithm>
#include <cstddef>
#include <memory>
#include <span>
#include <string>

#include "shunt/cuda/error.hpp"

namespace shunt {

/// Who can reach a buffer's memory: the device, the host and every device in place (pinned), or
/// both by pages that move (managed).
enum class cuda_memory { device, pinned, managed };

/// Memory from the runtime, zeroed, 256-byte aligned. A part of it is a std::span. Taking it and
/// giving it back may wait for the device. Throws cuda_out_of_memory, naming the size, and
/// cuda_error.
class cuda_buffer {
 public:
  explicit cuda_buffer(std::size_t size, cuda_memory kind = cuda_memory::device)
      : data_(take(size, kind), {kind}), size_(size) {
    if (size == 0 || kind == cuda_memory::pinned) {
      std::fill_n(data_.get(), size, std::byte{0});
      return;
    }
    // On a stream of our own, and to its end: streams that don't wait for the default one must find
    // the zeroes.
    cuda_check(cudaMemsetAsync(data_.get(), 0, size, cudaStreamPerThread), "cudaMemsetAsync");
    cuda_check(cudaStreamSynchronize(cudaStreamPerThread), "cudaStreamSynchronize");
  }

  [[nodiscard]] std::span<std::byte> bytes() const { return {data_.get(), size_}; }
  [[nodiscard]] std::byte* data() const { return data_.get(); }
  [[nodiscard]] std::size_t size() const { return size_; }

  /// As elements of another type, as many as fit.
  template <class T>
  [[nodiscard]] std::span<T> as() const {
    return {reinterpret_cast<T*>(data_.get()), size_ / sizeof(T)};
  }

 private:
  static std::byte* take(std::size_t size, cuda_memory kind) {
    if (size == 0) return nullptr;
    void* taken = nullptr;
    auto const code = kind == cuda_memory::device   ? cudaMalloc(&taken, size)
                      : kind == cuda_memory::pinned ? cudaMallocHost(&taken, size)
                                                    : cudaMallocManaged(&taken, size);
    char const* const call = kind == cuda_memory::device   ? "cudaMalloc"
                             : kind == cuda_memory::pinned ? "cudaMallocHost"
                                                           : "cudaMallocManaged";
    cuda_check(code, (std::string(call) + " of " + std::to_string(size) + " bytes").c_str());
    return static_cast<std::byte*>(taken);
  }

  struct give_back {
    cuda_memory kind = cuda_memory::device;
    void operator()(std::byte* p) const noexcept {
      (void)(kind == cuda_memory::pinned ? cudaFreeHost(p) : cudaFree(p));
    }
  };
  std::unique_ptr<std::byte[], give_back> data_;
  std::size_t size_ = 0;
};

}  // namespace shunt
