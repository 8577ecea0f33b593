// What of the runtime's wrappers can be said without a device.
#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "shunt/cuda/device.hpp"
#include "shunt/cuda/error.hpp"
#include "shunt/cuda/system.hpp"
#include "shunt/execute/stream_executors.hpp"

namespace {

using namespace shunt;

TEST(cuda_errors, name_the_call_and_who_made_it) {
  cuda_check(cudaSuccess, "cudaMalloc");
  auto const line = std::to_string(__LINE__ + 2);
  try {
    cuda_check(cudaErrorInvalidValue, "cudaMemcpyAsync");
    FAIL();
  } catch (cuda_error const& e) {
    std::string const what = e.what();
    EXPECT_NE(what.find("cudaMemcpyAsync: cudaErrorInvalidValue, invalid argument ("),
              std::string::npos)
        << what;
    EXPECT_NE(what.find("runtime.cpp:" + line + ")"), std::string::npos) << what;
    EXPECT_EQ(e.code(), cudaErrorInvalidValue);
  }
  EXPECT_THROW(cuda_check(cudaErrorMemoryAllocation, "cudaMalloc of 5 bytes"), cuda_out_of_memory);
}

TEST(first_cuda_device, says_why_there_is_none) {
  using detail::why_no_device;
  EXPECT_EQ(why_no_device(cudaErrorInsufficientDriver, 0, 0, 13000), "there is no CUDA driver");
  EXPECT_EQ(why_no_device(cudaErrorInsufficientDriver, 0, 12040, 13000),
            "the driver is for CUDA up to 12.4, too old for this program's runtime 13.0");
  EXPECT_EQ(why_no_device(cudaErrorNoDevice, 0, 13000, 13000), "there is no CUDA device");
  EXPECT_EQ(why_no_device(cudaSuccess, 0, 13010, 13000), "there is no CUDA device");
  EXPECT_EQ(why_no_device(cudaErrorDevicesUnavailable, 0, 13000, 13000)
                .find("CUDA doesn't start: cudaErrorDevicesUnavailable, "),
            0U);
  EXPECT_EQ(why_no_device(cudaSuccess, 1, 13000, 13000), "");
  auto const gpu = first_cuda_device();
  EXPECT_EQ(gpu.reason.empty(), gpu.device.has_value());
}

/// Kernels that nobody calls: without nvcc the system must compile all the same.
struct no_kernels {
  static void move(cudaStream_t, std::span<stream_part const>, std::int64_t const*) {}
  static void fold(cudaStream_t, element, reduction, std::span<std::byte const* const>,
                   std::span<std::byte* const>, std::size_t, std::int64_t const*) {}
  static void fill(cudaStream_t, std::span<std::byte>, std::int64_t const*) {}
};
using system_without_kernels = basic_cuda_system<no_kernels>;

static_assert(calling_stream_system<system_without_kernels> &&
              graph_system<system_without_kernels>);

struct no_work {
  void operator()(rank_id, stream_task const&, cuda_stream_ref) {}
  std::span<std::byte> buffer(rank_id, buffer_id) { return {}; }
};
static_assert(work_on_streams<no_work, system_without_kernels>);

TEST(cuda_system, is_one_clear_error_without_a_device) {
  auto const gpu = first_cuda_device();
  if (gpu) {
    no_work w;
    system_without_kernels system(*gpu.device);
    program p;
    p.ranks.resize(2);
    EXPECT_EQ(stream_executor<system_without_kernels>{.system = &system}.run(p, w).done[1],
              (progress{1, 0}));
    EXPECT_EQ(graph_executor<system_without_kernels>{.system = &system}.run(p, w).done[1],
              (progress{1, 0}));
    return;
  }
  try {
    system_without_kernels const system;
    FAIL();
  } catch (cuda_error const& e) {
    EXPECT_EQ(e.call(), "cudaSetDevice");
  }
}

}  // namespace
