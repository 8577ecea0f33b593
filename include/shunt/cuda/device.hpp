#pragma once
#include <cuda_runtime_api.h>

#include <optional>
#include <string>
#include <utility>

namespace shunt {

/// Whether there is a device to run on, and if not why: what a program prints before it does
/// without, and a test before it skips.
struct cuda_answer {
  std::optional<int> device{};  ///< the lowest that can be used
  std::string reason{};         ///< where there is none
  [[nodiscard]] explicit operator bool() const { return device.has_value(); }
};

namespace detail {

/// "12.4" for 12040.
[[nodiscard]] inline std::string cuda_version(int number) {
  return std::to_string(number / 1000) + "." + std::to_string(number % 1000 / 10);
}

/// What the first calls of the runtime say, in words.
[[nodiscard]] inline std::string why_no_device(cudaError_t code, int count, int driver,
                                               int runtime) {
  if (driver == 0) return "there is no CUDA driver";
  if (code == cudaErrorInsufficientDriver || driver / 1000 < runtime / 1000)
    return "the driver is for CUDA up to " + cuda_version(driver) +
           ", too old for this program's runtime " + cuda_version(runtime);
  if (code == cudaErrorNoDevice || (code == cudaSuccess && count == 0))
    return "there is no CUDA device";
  if (code != cudaSuccess)
    return std::string("CUDA doesn't start: ") + cudaGetErrorName(code) + ", " +
           cudaGetErrorString(code);
  return {};
}

}  // namespace detail

/// Looks for a device whose compute capability is `least` or more (as 10 * major + minor). Throws
/// nothing, and makes no device current.
[[nodiscard]] inline cuda_answer first_cuda_device(int least = 70) {
  int count = 0, driver = 0, runtime = 0;
  (void)cudaDriverGetVersion(&driver);
  (void)cudaRuntimeGetVersion(&runtime);
  auto const code = cudaGetDeviceCount(&count);
  (void)cudaGetLastError();
  if (auto why = detail::why_no_device(code, count, driver, runtime); !why.empty())
    return {{}, std::move(why)};
  int best = 0;
  for (int device = 0; device < count; ++device) {
    int major = 0, minor = 0;
    if (cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device) != cudaSuccess ||
        cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, device) != cudaSuccess) {
      (void)cudaGetLastError();
      continue;
    }
    if (10 * major + minor >= least) return {device, {}};
    best = best < 10 * major + minor ? 10 * major + minor : best;
  }
  return {{},
          "no CUDA device has compute capability " + std::to_string(least / 10) + "." +
              std::to_string(least % 10) + "; the best has " + std::to_string(best / 10) + "." +
              std::to_string(best % 10)};
}

}  // namespace shunt
