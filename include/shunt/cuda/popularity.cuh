#pragma once
#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>
#include <cub/device/device_histogram.cuh>

#include "shunt/cuda/error.hpp"
#include "shunt/cuda/stream.hpp"

namespace shunt {

/// The popularity of a layer's experts: how many tokens each received, what the next placement
/// follows (SYMI section 3). A token that goes to several experts counts once for each. Made once
/// for a size; its histogram is CUB's.
class popularity_count {
 public:
  /// For at most `tokens` tokens a call. Throws cuda_error.
  popularity_count(std::int32_t tokens, std::int32_t experts) : experts_(experts) {
    run(nullptr, nullptr, tokens, nullptr, cudaStream_t{});
  }

  /// Bytes of the workspace that a call needs, on the device.
  [[nodiscard]] std::size_t workspace_bytes() const { return bytes_; }

  /// counts[e] becomes the number of e among expert_of_token[0 .. tokens), all on the device; other
  /// values, such as -1, don't count. Enqueues on `stream`, waits for nothing, may be captured.
  /// Throws cuda_error where the launch is refused.
  void operator()(std::int32_t const* expert_of_token, std::int32_t tokens, std::int64_t* counts,
                  void* workspace, cuda_stream_ref stream) {
    run(workspace, expert_of_token, tokens, counts, stream);
  }

 private:
  void run(void* workspace, std::int32_t const* expert_of_token, std::int32_t tokens,
           std::int64_t* counts, cuda_stream_ref stream) {
    static_assert(sizeof(unsigned long long) == sizeof(std::int64_t));  // what CUDA's atomics know
    cuda_check(cub::DeviceHistogram::HistogramEven(workspace, bytes_, expert_of_token,
                                                   reinterpret_cast<unsigned long long*>(counts),
                                                   experts_ + 1, std::int32_t{0}, experts_, tokens,
                                                   stream.get()),
               "DeviceHistogram");
  }

  std::int32_t experts_;
  std::size_t bytes_ = 0;
};

}  // namespace shunt
