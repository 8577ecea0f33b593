#pragma once
#include <cuda_runtime_api.h>

#include <cmath>
#include <memory>
#include <type_traits>

#include "shunt/core/units.hpp"
#include "shunt/cuda/error.hpp"
#include "shunt/cuda/stream.hpp"

namespace shunt {

/// Somebody's event. Converts from and to the runtime's handle.
class cuda_event_ref {
 public:
  constexpr cuda_event_ref(cudaEvent_t event) : event_(event) {}
  [[nodiscard]] constexpr cudaEvent_t get() const { return event_; }
  constexpr operator cudaEvent_t() const { return event_; }

  // All throw cuda_error, also for what went wrong on the device.

  /// The event is what the stream has been told so far.
  void record(cuda_stream_ref on) const {
    cuda_check(cudaEventRecord(event_, on), "cudaEventRecord");
  }
  /// What the stream is told from now on waits for the last record before this call; without one it
  /// waits for nothing.
  void hold(cuda_stream_ref stream) const {
    cuda_check(cudaStreamWaitEvent(stream, event_, 0), "cudaStreamWaitEvent");
  }
  void synchronize() const { cuda_check(cudaEventSynchronize(event_), "cudaEventSynchronize"); }
  /// Whether it has happened.
  [[nodiscard]] bool done() const {
    auto const code = cudaEventQuery(event_);
    if (code != cudaErrorNotReady) cuda_check(code, "cudaEventQuery");
    if (code == cudaErrorNotReady) (void)cudaGetLastError();
    return code == cudaSuccess;
  }

  constexpr bool operator==(cuda_event_ref const&) const = default;

 private:
  cudaEvent_t event_;
};

/// An event of the device that is current when it is made. Throws cuda_error.
class cuda_event {
 public:
  enum class kind { ordering, timed };

  explicit cuda_event(kind k = kind::ordering) {
    cudaEvent_t made = nullptr;
    cuda_check(cudaEventCreateWithFlags(&made, k == kind::timed ? cudaEventDefault
                                                                : cudaEventDisableTiming),
               "cudaEventCreateWithFlags");
    event_.reset(made);
  }

  [[nodiscard]] cudaEvent_t get() const { return event_.get(); }
  operator cuda_event_ref() const { return event_.get(); }

 private:
  struct destroy {
    void operator()(cudaEvent_t e) const noexcept { (void)cudaEventDestroy(e); }
  };
  std::unique_ptr<std::remove_pointer_t<cudaEvent_t>, destroy> event_{};
};

static_assert(std::is_trivially_copyable_v<cuda_event_ref> &&
              !std::is_copy_constructible_v<cuda_event>);

/// Nanoseconds between two timed events that have happened. CUDA hands out milliseconds in single
/// precision, at a resolution of about half a microsecond: beyond some ten seconds it is coarser.
/// Throws cuda_error.
[[nodiscard]] inline ticks elapsed(cuda_event_ref from, cuda_event_ref to) {
  float milliseconds = 0;
  cuda_check(cudaEventElapsedTime(&milliseconds, from, to), "cudaEventElapsedTime");
  return std::llround(static_cast<double>(milliseconds) * 1e6);
}

}  // namespace shunt
