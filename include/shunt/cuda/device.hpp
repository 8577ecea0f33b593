#pragma once
/// Search for a usable CUDA device, with a reason where there is none.
#include <cuda_runtime_api.h>

#include <optional>
#include <string>
#include <utility>

namespace shunt {

/// Result of `first_cuda_device`; converts to true where a device was found.
struct cuda_answer {
  std::optional<int> device{};  ///< lowest usable device
  std::string reason{};         ///< why there is none
  [[nodiscard]] explicit operator bool() const { return device.has_value(); }
};

namespace detail {

/// Returns "12.4" for 12040.
[[nodiscard]] inline std::string cuda_version(int number) {
  return std::to_string(number / 1000) + "." + std::to_string(number % 1000 / 10);
}

/// Returns why no device can be used, given the results of the runtime's first calls; empty where
/// one can.
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

/// Returns the first device whose compute capability (10 * major + minor) is at least `least`, or
/// the reason why there is none.
/// Never throws. Makes no device current.
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

/// Returns why the host must not touch managed memory while a device computes; empty where it may.
/// Without such access, that of a virtual machine for example, it would be a crash.
/// Never throws.
[[nodiscard]] inline std::string why_no_shared_access(int device) {
  int shared = 0;
  auto const code = cudaDeviceGetAttribute(&shared, cudaDevAttrConcurrentManagedAccess, device);
  (void)cudaGetLastError();
  if (code == cudaSuccess && shared != 0) return {};
  return "device " + std::to_string(device) +
         " does not share managed memory with the host while it computes";
}

}  // namespace shunt
