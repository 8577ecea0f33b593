#pragma once
/// Number of tokens of each expert, counted on a device.
/// Reference: SYMI, arXiv 2504.19925, section 3.
#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>
#include <cub/device/device_histogram.cuh>

#include "shunt/cuda/error.hpp"
#include "shunt/cuda/stream.hpp"

namespace shunt {

/// Counts the tokens that each expert of a layer received, with CUB's histogram. A token that goes
/// to several experts counts once for each. Constructed once for a size.
class popularity_count {
 public:
  /// For at most `tokens` tokens a call.
  /// Throws cuda_error.
  popularity_count(std::int32_t tokens, std::int32_t experts) : experts_(experts) {
    run(nullptr, nullptr, tokens, nullptr, cudaStream_t{});
  }

  /// Returns the size of the device workspace of a call, in bytes.
  [[nodiscard]] std::size_t workspace_bytes() const { return bytes_; }

  /// Enqueues counts[e] = number of e among expert_of_token[0 .. tokens), all on the device. Other
  /// values, such as -1, are not counted. Waits for nothing and can be captured.
  /// Throws cuda_error where the launch is refused.
  void operator()(std::int32_t const* expert_of_token, std::int32_t tokens, std::int64_t* counts,
                  void* workspace, cuda_stream_ref stream) {
    run(workspace, expert_of_token, tokens, counts, stream);
  }

 private:
  void run(void* workspace, std::int32_t const* expert_of_token, std::int32_t tokens,
           std::int64_t* counts, cuda_stream_ref stream) {
    static_assert(sizeof(unsigned long long) == sizeof(std::int64_t));  // type of CUDA's atomics
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
