#pragma once
#include <cuda_runtime.h>
#include <gtest/gtest.h>

#include <cstddef>
#include <stdexcept>
#include <string>
#include <vector>

namespace shunt_test {

inline void sound(cudaError_t e) {
  if (e != cudaSuccess) throw std::runtime_error(cudaGetErrorString(e));
}

/// Memory of the GPU with a host's view of it.
template <class T>
class device_array {
 public:
  explicit device_array(std::size_t n) : size_(n) { sound(cudaMalloc(&data_, (n == 0 ? 1 : n) * sizeof(T))); }
  explicit device_array(std::vector<T> const& values) : device_array(values.size()) { set(values); }
  device_array(device_array const&) = delete;
  ~device_array() { cudaFree(data_); }

  [[nodiscard]] T* data() const { return data_; }
  void set(std::vector<T> const& values) { sound(cudaMemcpy(data_, values.data(), size_ * sizeof(T), cudaMemcpyHostToDevice)); }
  [[nodiscard]] std::vector<T> values() const {
    std::vector<T> out(size_);
    sound(cudaMemcpy(out.data(), data_, size_ * sizeof(T), cudaMemcpyDeviceToHost));
    return out;
  }

 private:
  T* data_ = nullptr;
  std::size_t size_;
};

/// A test that needs a GPU: skipped, with the reason, where there is none.
class on_gpu : public testing::Test {
 protected:
  void SetUp() override {
    int devices = 0;
    cudaError_t const e = cudaGetDeviceCount(&devices);
    if (e != cudaSuccess) GTEST_SKIP() << "no GPU: " << cudaGetErrorString(e);
    if (devices == 0) GTEST_SKIP() << "no GPU: no device";
    sound(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking));
  }
  void TearDown() override {
    if (stream_ != nullptr) cudaStreamDestroy(stream_);
  }
  void wait() { sound(cudaStreamSynchronize(stream_)); }

  /// Captures what `enqueue` puts on the stream, and launches it twice as a graph: before(0), launch, before(1), launch.
  template <class Enqueue, class Before>
  void launch_captured(Enqueue const& enqueue, Before const& before) {
    cudaGraph_t graph = nullptr;
    cudaGraphExec_t exec = nullptr;
    sound(cudaStreamBeginCapture(stream_, cudaStreamCaptureModeThreadLocal));
    enqueue();
    sound(cudaStreamEndCapture(stream_, &graph));
    sound(cudaGraphInstantiate(&exec, graph, 0));
    for (int launch = 0; launch < 2; ++launch) {
      before(launch);
      sound(cudaGraphLaunch(exec, stream_));
      wait();
    }
    cudaGraphExecDestroy(exec);
    cudaGraphDestroy(graph);
  }

  cudaStream_t stream_ = nullptr;
};

}  // namespace shunt_test
