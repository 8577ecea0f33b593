#pragma once
/// CUDA events: a non-owning handle, an owner, and the time between two of them.
#include <cuda_runtime_api.h>

#include <cmath>
#include <memory>
#include <type_traits>

#include "shunt/core/units.hpp"
#include "shunt/cuda/error.hpp"
#include "shunt/cuda/stream.hpp"

namespace shunt {

/// Non-owning event handle; converts to and from cudaEvent_t.
/// Its members throw cuda_error, also for failures of earlier work on the device.
class cuda_event_ref {
 public:
  constexpr cuda_event_ref(cudaEvent_t event) : event_(event) {}
  [[nodiscard]] constexpr cudaEvent_t get() const { return event_; }
  constexpr operator cudaEvent_t() const { return event_; }

  /// Records all work enqueued on the stream so far.
  void record(cuda_stream_ref on) const {
    cuda_check(cudaEventRecord(event_, on), "cudaEventRecord");
  }
  /// Makes later work on the stream wait for the latest record of this event; does nothing if it
  /// was never recorded.
  void hold(cuda_stream_ref stream) const {
    cuda_check(cudaStreamWaitEvent(stream, event_, 0), "cudaStreamWaitEvent");
  }
  void synchronize() const { cuda_check(cudaEventSynchronize(event_), "cudaEventSynchronize"); }
  /// Returns whether the recorded work has completed.
  [[nodiscard]] bool done() const {
    auto const code = cudaEventQuery(event_);
    if (code != cudaErrorNotReady) cuda_check(code, "cudaEventQuery");
    if (code == cudaErrorNotReady) (void)cudaGetLastError();
    return code == cudaSuccess;
  }

  bool operator==(cuda_event_ref const&) const = default;

 private:
  cudaEvent_t event_;
};

/// An owned event of the device that is current at construction.
/// Throws cuda_error.
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

/// Returns the nanoseconds between two completed timed events.
/// CUDA reports milliseconds in single precision at a resolution of about half a
/// microsecond. Beyond about ten seconds the result is coarser.
/// Throws cuda_error.
[[nodiscard]] inline ticks elapsed(cuda_event_ref from, cuda_event_ref to) {
  float milliseconds = 0;
  cuda_check(cudaEventElapsedTime(&milliseconds, from, to), "cudaEventElapsedTime");
  return std::llround(static_cast<double>(milliseconds) * 1e6);
}

}  // namespace shunt
