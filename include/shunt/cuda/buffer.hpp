#pragma once
/// Owned memory of a CUDA device or of its host.
#include <cuda_runtime_api.h>

#include <algorithm>
#include <cstddef>
#include <memory>
#include <span>
#include <string>

#include "shunt/cuda/error.hpp"

namespace shunt {

/// Where a buffer's memory lies: on the device; on the host, pinned, in reach of every device; or
/// managed, in pages that migrate.
enum class cuda_memory { device, pinned, managed };

/// Memory from the CUDA runtime, zeroed and aligned to 256 bytes. Allocation and release may wait
/// for the device.
/// Throws cuda_out_of_memory, which names the size, or cuda_error.
class cuda_buffer {
 public:
  explicit cuda_buffer(std::size_t size, cuda_memory kind = cuda_memory::device)
      : data_(take(size, kind), {kind}), size_(size) {
    if (size == 0 || kind == cuda_memory::pinned) {
      std::fill_n(data_.get(), size, std::byte{0});
      return;
    }
    // A stream that does not wait for the default one must find the zeroes, so the memset is
    // completed here.
    cuda_check(cudaMemsetAsync(data_.get(), 0, size, cudaStreamPerThread), "cudaMemsetAsync");
    cuda_check(cudaStreamSynchronize(cudaStreamPerThread), "cudaStreamSynchronize");
  }

  [[nodiscard]] std::span<std::byte> bytes() const { return {data_.get(), size_}; }
  [[nodiscard]] std::byte* data() const { return data_.get(); }
  [[nodiscard]] std::size_t size() const { return size_; }

  /// Returns the memory as elements of T, as many as fit.
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
