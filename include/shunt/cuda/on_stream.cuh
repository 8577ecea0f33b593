#pragma once
#include <cuda_runtime.h>
#include <thrust/system/cuda/execution_policy.h>

#include <cstddef>

#include "shunt/cuda/error.hpp"
#include "shunt/cuda/stream.hpp"

namespace shunt {

/// Room for what Thrust's algorithms need in passing, taken from and given back to the stream's
/// memory pool (cudaMallocAsync): nothing waits, and a capture turns it into nodes of the graph.
class stream_memory {
 public:
  using value_type = char;

  explicit stream_memory(cuda_stream_ref stream) : stream_(stream) {}

  /// Throws cuda_out_of_memory where the pool has no room, as Thrust's algorithms then do.
  [[nodiscard]] char* allocate(std::ptrdiff_t bytes) const {
    void* taken = nullptr;
    cuda_check(cudaMallocAsync(&taken, static_cast<std::size_t>(bytes), stream_),
               "cudaMallocAsync");
    return static_cast<char*>(taken);
  }
  void deallocate(char* taken, std::size_t) const { (void)cudaFreeAsync(taken, stream_); }

  [[nodiscard]] cuda_stream_ref stream() const { return stream_; }

 private:
  cuda_stream_ref stream_;
};

/// The policy under which Thrust's algorithms enqueue their kernels on a stream and return at once.
/// `memory` outlives its use: `stream_memory memory(stream); dispatch_tokens(on_stream(memory),
/// d);`
[[nodiscard]] inline auto on_stream(stream_memory& memory) {
  return thrust::cuda::par_nosync(memory).on(memory.stream().get());
}

}  // namespace shunt
