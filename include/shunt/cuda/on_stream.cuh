#pragma once
/// Thrust's algorithms on a CUDA stream without a wait.
#include <cuda_runtime.h>
#include <thrust/system/cuda/execution_policy.h>

#include <cstddef>

#include "shunt/cuda/error.hpp"
#include "shunt/cuda/stream.hpp"

namespace shunt {

/// Allocator of Thrust's temporary memory from the stream's memory pool (cudaMallocAsync). Nothing
/// waits, and a capture turns allocations into nodes of the graph.
class stream_memory {
 public:
  using value_type = char;

  explicit stream_memory(cuda_stream_ref stream) : stream_(stream) {}

  /// Throws cuda_out_of_memory where the pool has no room; Thrust's algorithms then throw it as
  /// well.
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

/// Returns the policy under which Thrust's algorithms enqueue their kernels on the stream and
/// return at once:
/// `stream_memory memory(stream); dispatch_tokens(on_stream(memory), d);`
/// Requires that `memory` outlives the use of the policy.
[[nodiscard]] inline auto on_stream(stream_memory& memory) {
  return thrust::cuda::par_nosync(memory).on(memory.stream().get());
}

}  // namespace shunt
