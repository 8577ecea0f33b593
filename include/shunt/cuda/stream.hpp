#pragma once
/// CUDA streams: a non-owning handle and an owner.
#include <cuda_runtime_api.h>

#include <memory>
#include <type_traits>

#include "shunt/cuda/error.hpp"

namespace shunt {

/// Non-owning stream handle; converts to and from cudaStream_t.
class cuda_stream_ref {
 public:
  constexpr cuda_stream_ref(cudaStream_t stream) : stream_(stream) {}
  [[nodiscard]] constexpr cudaStream_t get() const { return stream_; }
  constexpr operator cudaStream_t() const { return stream_; }

  /// Waits until all enqueued work has completed.
  /// Throws cuda_error, also for failures of earlier work on the device.
  void synchronize() const { cuda_check(cudaStreamSynchronize(stream_), "cudaStreamSynchronize"); }

  bool operator==(cuda_stream_ref const&) const = default;

 private:
  cudaStream_t stream_;
};

/// An owned stream of the device that is current at construction; it does not wait for the default
/// stream. The destructor does not wait: enqueued work still runs.
/// Throws cuda_error.
class cuda_stream {
 public:
  cuda_stream() {
    cudaStream_t made = nullptr;
    cuda_check(cudaStreamCreateWithFlags(&made, cudaStreamNonBlocking),
               "cudaStreamCreateWithFlags");
    stream_.reset(made);
  }

  [[nodiscard]] cudaStream_t get() const { return stream_.get(); }
  operator cuda_stream_ref() const { return stream_.get(); }
  void synchronize() const { cuda_stream_ref(*this).synchronize(); }

 private:
  struct destroy {
    void operator()(cudaStream_t s) const noexcept { (void)cudaStreamDestroy(s); }
  };
  std::unique_ptr<std::remove_pointer_t<cudaStream_t>, destroy> stream_{};
};

static_assert(std::is_trivially_copyable_v<cuda_stream_ref> &&
              !std::is_copy_constructible_v<cuda_stream>);

}  // namespace shunt
