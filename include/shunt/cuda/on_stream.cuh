#pragma once
#include <cuda_runtime.h>
#include <thrust/system/cuda/execution_policy.h>

#include <cstddef>
#include <new>

namespace shunt {

/// Room for what Thrust's algorithms need in passing, taken from and given back to the stream's memory pool (cudaMallocAsync): nothing
/// waits, and a capture turns it into nodes of the graph.
class stream_memory {
 public:
  using value_type = char;

  explicit stream_memory(cudaStream_t stream) : stream_(stream) {}

  /// Throws std::bad_alloc where the pool has no room, as Thrust's algorithms then do.
  [[nodiscard]] char* allocate(std::ptrdiff_t bytes) const {
    void* taken = nullptr;
    if (cudaMallocAsync(&taken, static_cast<std::size_t>(bytes), stream_) != cudaSuccess) throw std::bad_alloc();
    return static_cast<char*>(taken);
  }
  void deallocate(char* taken, std::size_t) const { cudaFreeAsync(taken, stream_); }

  [[nodiscard]] cudaStream_t stream() const { return stream_; }

 private:
  cudaStream_t stream_;
};

/// The policy under which Thrust's algorithms enqueue their kernels on a stream and return at once. `memory` outlives its use:
/// `stream_memory memory(stream); dispatch_tokens(on_stream(memory), d);`
[[nodiscard]] inline auto on_stream(stream_memory& memory) { return thrust::cuda::par_nosync(memory).on(memory.stream()); }

}  // namespace shunt
