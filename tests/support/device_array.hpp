#pragma once
#include <cuda_runtime_api.h>
#include <gtest/gtest.h>

#include <cstddef>
#include <optional>
#include <vector>

#include "shunt/cuda/buffer.hpp"
#include "shunt/cuda/device.hpp"
#include "shunt/cuda/error.hpp"
#include "shunt/cuda/stream.hpp"

namespace shunt::tests {

/// An array on the GPU that is set from and read by the host.
template <class T>
class device_array {
 public:
  explicit device_array(std::size_t n) : memory_(n * sizeof(T)), size_(n) {}
  explicit device_array(std::vector<T> const& values) : device_array(values.size()) { set(values); }

  [[nodiscard]] T* data() const { return reinterpret_cast<T*>(memory_.data()); }
  void set(std::vector<T> const& values) {
    if (size_ == 0) return;
    // To its end on a stream: cudaMemcpy from pageable memory returns before the bytes have
    // arrived, and our streams don't wait for it.
    shunt::cuda_check(cudaMemcpyAsync(data(), values.data(), size_ * sizeof(T),
                                      cudaMemcpyHostToDevice, cudaStreamPerThread),
                      "cudaMemcpyAsync");
    shunt::cuda_check(cudaStreamSynchronize(cudaStreamPerThread), "cudaStreamSynchronize");
  }
  [[nodiscard]] std::vector<T> values() const {
    std::vector<T> out(size_);
    if (size_ == 0) return out;
    shunt::cuda_check(cudaMemcpy(out.data(), data(), size_ * sizeof(T), cudaMemcpyDeviceToHost),
                      "cudaMemcpy");
    return out;
  }

 private:
  shunt::cuda_buffer memory_;
  std::size_t size_;
};

/// A test that needs a GPU: skipped, with the reason, where there is none.
class on_gpu : public testing::Test {
 protected:
  void SetUp() override {
    if (auto const gpu = shunt::first_cuda_device(80); !gpu)
      GTEST_SKIP() << gpu.reason;
    else
      shunt::cuda_check(cudaSetDevice(*gpu.device), "cudaSetDevice");
    stream_.emplace();
  }
  [[nodiscard]] shunt::cuda_stream_ref stream() const { return *stream_; }
  void wait() const { stream().synchronize(); }

  /// Captures what `enqueue` puts on the stream, and launches it twice as a graph: before(0),
  /// launch, before(1), launch.
  template <class Enqueue, class Before>
  void launch_captured(Enqueue const& enqueue, Before const& before) {
    cudaGraph_t graph = nullptr;
    cudaGraphExec_t exec = nullptr;
    shunt::cuda_check(cudaStreamBeginCapture(stream(), cudaStreamCaptureModeThreadLocal),
                      "cudaStreamBeginCapture");
    enqueue();
    shunt::cuda_check(cudaStreamEndCapture(stream(), &graph), "cudaStreamEndCapture");
    shunt::cuda_check(cudaGraphInstantiate(&exec, graph, 0), "cudaGraphInstantiate");
    for (int launch = 0; launch < 2; ++launch) {
      before(launch);
      shunt::cuda_check(cudaGraphLaunch(exec, stream()), "cudaGraphLaunch");
      wait();
    }
    (void)cudaGraphExecDestroy(exec);
    (void)cudaGraphDestroy(graph);
  }

 private:
  std::optional<shunt::cuda_stream> stream_{};
};

}  // namespace shunt::tests
