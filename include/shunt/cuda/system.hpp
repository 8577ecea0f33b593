#pragma once
/// A CUDA device as a stream_system and graph_system, apart from its kernels.
/// See docs/device-code.md.
#include <cuda_runtime_api.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <source_location>
#include <span>
#include <string>
#include <utility>

#include "shunt/core/units.hpp"
#include "shunt/cuda/buffer.hpp"
#include "shunt/cuda/device.hpp"
#include "shunt/cuda/error.hpp"
#include "shunt/cuda/event.hpp"
#include "shunt/cuda/graph.hpp"
#include "shunt/cuda/profile_range.hpp"
#include "shunt/cuda/stream.hpp"
#include "shunt/execute/stream_system.hpp"
#include "shunt/program/program.hpp"

namespace shunt {

/// One CUDA device. `Kernels` launches what the runtime has no call for (cuda_kernels in
/// kernels.cuh, which needs nvcc).
/// The constructor makes the device current for the calling thread.
/// With managed memory (`cuda_memory::managed`) a host work can run as calls of the streams, where
/// the device lets the host at it while kernels run.
/// Throws cuda_error: no device, a driver that is too old, no memory left, or a failure on the
/// device, at the first call that reports it.
/// Requires that only the constructing thread uses the system.
template <class Kernels>
class basic_cuda_system {
 public:
  using stream = cuda_stream;
  using stream_ref = cuda_stream_ref;
  using event = cuda_event;
  using memory = cuda_buffer;
  using graph = cuda_graph;

  explicit basic_cuda_system(int device = 0, cuda_memory own = cuda_memory::device) : own_(own) {
    cuda_check(cudaSetDevice(device), "cudaSetDevice");
    // Starts CUDA here rather than in the first measured call.
    cuda_check(cudaFree(nullptr), "cudaFree");
    if (own == cuda_memory::managed)
      if (auto const why = why_no_shared_access(device); !why.empty())
        throw cuda_error(cudaErrorNotSupported, why, std::source_location::current());
  }

  [[nodiscard]] stream make_stream() { return {}; }
  [[nodiscard]] event make_event() { return event(event::kind::ordering); }
  [[nodiscard]] event make_timed_event() { return event(event::kind::timed); }
  [[nodiscard]] memory make_memory(std::size_t size) { return memory(size, own_); }
  [[nodiscard]] memory make_host_memory(std::size_t size) {
    return memory(size, cuda_memory::pinned);
  }

  void move(stream_ref on, std::span<stream_part const> parts, std::int64_t const* guard) {
    if (parts.size() == 1 && parts[0].bytes > 0 && !guard && !parts[0].count && !parts[0].refused)
      cuda_check(cudaMemcpyAsync(parts[0].to, parts[0].from,
                                 static_cast<std::size_t>(parts[0].bytes), cudaMemcpyDefault, on),
                 "cudaMemcpyAsync");
    else
      Kernels::move(on.get(), parts, guard);
  }
  void fold(stream_ref on, element type, reduction how, std::span<std::byte const* const> sources,
            std::span<std::byte* const> targets, std::size_t size, std::int64_t const* guard) {
    Kernels::fold(on.get(), type, how, sources, targets, size, guard);
  }
  void fill(stream_ref on, std::span<std::byte> target, std::int64_t const* guard) {
    if (target.empty()) return;
    if (guard)
      Kernels::fill(on.get(), target, guard);
    else
      cuda_check(cudaMemsetAsync(target.data(), 0, target.size(), on), "cudaMemsetAsync");
  }
  void copy_to_host(stream_ref on, std::span<std::byte const> from, std::span<std::byte> to) {
    if (to.empty()) return;
    cuda_check(cudaMemcpyAsync(to.data(), from.data(), to.size(), cudaMemcpyDefault, on),
               "cudaMemcpyAsync");
  }
  void copy_to_device(stream_ref on, std::span<std::byte const> from, std::span<std::byte> to) {
    if (to.empty()) return;
    cuda_check(cudaMemcpyAsync(to.data(), from.data(), to.size(), cudaMemcpyDefault, on),
               "cudaMemcpyAsync");
    on.synchronize();  // the source may be destroyed
  }

  void set_word(std::int64_t& word, std::int64_t value) {
    std::atomic_ref(word).store(value, std::memory_order_seq_cst);
  }

  void record(event& e, stream_ref on) { cuda_event_ref(e).record(on); }
  void wait(stream_ref on, event& e) { cuda_event_ref(e).hold(on); }
  void finish(event& e) { cuda_event_ref(e).synchronize(); }
  [[nodiscard]] bool finished(event& e) { return cuda_event_ref(e).done(); }
  [[nodiscard]] ticks elapsed(event& from, event& to) { return shunt::elapsed(from, to); }
  void synchronize() { cuda_check(cudaDeviceSynchronize(), "cudaDeviceSynchronize"); }
  [[nodiscard]] profile_range range(std::string const& name) { return profile_range(name); }

  void call(stream_ref on, std::function<void()> f) {
    cudaStreamCaptureStatus status = cudaStreamCaptureStatusNone;
    cuda_check(cudaStreamIsCapturing(on, &status), "cudaStreamIsCapturing");
    if (status == cudaStreamCaptureStatusNone) {  // called once
      auto once = std::make_unique<std::function<void()>>(std::move(f));
      cuda_check(cudaLaunchHostFunc(
                     on,
                     [](void* what) {
                       std::unique_ptr<std::function<void()>> const owned(
                           static_cast<std::function<void()>*>(what));
                       (*owned)();
                     },
                     once.get()),
                 "cudaLaunchHostFunc");
      (void)once.release();
    } else {  // at every launch of the graph
      called_.push_back(std::make_shared<std::function<void()>>(std::move(f)));
      cuda_check(cudaLaunchHostFunc(
                     on, [](void* what) { (*static_cast<std::function<void()>*>(what))(); },
                     called_.back().get()),
                 "cudaLaunchHostFunc");
    }
  }

  /// Watches only this thread's calls for what a capture forbids. Other threads are not restricted.
  void begin_capture(stream_ref on) {
    called_.clear();
    cuda_check(cudaStreamBeginCapture(on, cudaStreamCaptureModeThreadLocal),
               "cudaStreamBeginCapture");
  }
  graph_change end_capture(stream_ref on, graph& into) {
    cudaGraph_t captured = nullptr;
    cuda_check(cudaStreamEndCapture(on, &captured), "cudaStreamEndCapture");
    std::unique_ptr<std::remove_pointer_t<cudaGraph_t>, destroy> const owned(captured);
    switch (into.take(captured, std::exchange(called_, {}))) {
      case graph::change::made: return graph_change::made;
      case graph::change::updated: return graph_change::updated;
      case graph::change::remade: return graph_change::remade;
    }
    return graph_change::remade;
  }
  void abandon_capture(stream_ref on) noexcept {
    cudaGraph_t captured = nullptr;
    (void)cudaStreamEndCapture(on, &captured);
    if (captured) destroy{}(captured);
    called_.clear();
    (void)cudaGetLastError();
  }
  void launch(graph& g, stream_ref on) { g.launch(on); }
  void stamp(event& e, stream_ref on) {
    cuda_check(cudaEventRecordWithFlags(e.get(), on, cudaEventRecordExternal),
               "cudaEventRecordWithFlags");
  }

 private:
  struct destroy {
    void operator()(cudaGraph_t g) const noexcept { (void)cudaGraphDestroy(g); }
  };
  cuda_memory own_;
  graph::calls called_{};  // functions of the capture in progress
};

}  // namespace shunt
