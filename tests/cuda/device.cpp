#include <gtest/gtest.h>

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

}  // namespace
}  // namespace shunt::tests::device_test
