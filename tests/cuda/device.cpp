#include <gtest/gtest.h>

#include <string>

#include "shunt/cuda/device.hpp"
#include "shunt/program/program.hpp"

namespace shunt::tests::device_test {
namespace {

TEST(device, says_why_there_is_none) {
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

TEST(device, says_whether_the_host_may_touch_managed_memory_at_any_time) {
  auto const gpu = first_cuda_device();
  if (gpu) {
    auto const why = why_no_shared_access(*gpu.device);
    EXPECT_TRUE(why.empty() || why.find("managed memory") != std::string::npos);
  }
  EXPECT_EQ(why_no_shared_access(1 << 20),
            "device 1048576 does not share managed memory with the host while it computes");
}

}  // namespace
}  // namespace shunt::tests::device_test
