#pragma once
/// Errors of the CUDA runtime as exceptions.
#include <cuda_runtime_api.h>

#include <source_location>
#include <stdexcept>
#include <string>

namespace shunt {

/// A failed call of the CUDA runtime, or a failure of earlier work on the device that the call
/// reported.
/// `what()` is one line: call, name and description of the error, and file:line of the caller.
class cuda_error : public std::runtime_error {
 public:
  cuda_error(cudaError_t code, std::string const& call, std::source_location const& where)
      : std::runtime_error(call + ": " + cudaGetErrorName(code) + ", " + cudaGetErrorString(code) +
                           " (" + where.file_name() + ":" + std::to_string(where.line()) + ")"),
        code_(code),
        call_(call),
        where_(where) {}

  [[nodiscard]] cudaError_t code() const noexcept { return code_; }
  [[nodiscard]] std::string const& call() const noexcept { return call_; }
  [[nodiscard]] std::source_location const& where() const noexcept { return where_; }

 private:
  cudaError_t code_;
  std::string call_;
  std::source_location where_;
};

/// An allocation failed; `what()` names its size.
class cuda_out_of_memory : public cuda_error {
 public:
  using cuda_error::cuda_error;
};

/// Checks the result of a call: `cuda_check(cudaEventCreate(&e), "cudaEventCreate")`.
/// Throws cuda_out_of_memory or cuda_error unless `code` is cudaSuccess.
inline void cuda_check(cudaError_t code, char const* call,
                       std::source_location const& where = std::source_location::current()) {
  if (code == cudaSuccess) return;
  // Clears the runtime's error, which the exception now carries.
  (void)cudaGetLastError();
  if (code == cudaErrorMemoryAllocation) throw cuda_out_of_memory(code, call, where);
  throw cuda_error(code, call, where);
}

}  // namespace shunt
