#pragma once
/// What a failure stops on one rank's device: enqueued effects, and a work that runs on the host.
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <span>

#include "shunt/execute/stream_system.hpp"
#include "shunt/program/program.hpp"

namespace shunt::detail {

/// The first exception of a work that runs as calls of the streams. Shared with those calls.
struct failure_sink {
  std::mutex mutex{};
  std::exception_ptr what{};
};

/// The guard of all effects: a word of the host's memory, 1 until one rank stops. All ranks of a
/// process share it. What one rank sends behind a suppressed effect is garbage. No other rank lets
/// an effect depend on it, for each reads the same word later.
template <stream_system System>
class shared_guard {
 public:
  /// Returns the word, made at the first call.
  [[nodiscard]] std::span<std::byte> of(System& system) {
    std::lock_guard const lock(mutex_);
    if (!memory_) {
      memory_.emplace(system.make_host_memory(sizeof(std::int64_t)));
      system.set_word(*reinterpret_cast<std::int64_t*>(memory_->bytes().data()), 1);
    }
    return memory_->bytes();
  }
  /// Clears the word.
  /// Requires that `of` was called.
  void stop(System& system) {
    stopped_ = true;
    system.set_word(*reinterpret_cast<std::int64_t*>(memory_->bytes().data()), 0);
  }
  /// Returns false as long as no rank has begun to stop: then what has ended took effect.
  [[nodiscard]] bool stopped() const { return stopped_; }

 private:
  std::mutex mutex_{};
  std::optional<typename System::memory> memory_{};
  std::atomic<bool> stopped_ = false;
};

/// The guard of all effects, and the iteration's number in device memory.
template <stream_system System>
class failure_watch {
 public:
  using stream_ref = typename System::stream_ref;

  /// Requires that `guard` outlives the watch.
  failure_watch(System& system, stream_ref stream, std::int64_t first_iteration,
                shared_guard<System>& guard)
      : system_(system),
        shared_(guard),
        guard_(shared_.of(system_)),
        words_(system_.make_memory(2 * sizeof(std::int64_t))) {
    std::int64_t const words[] = {first_iteration - 1, 1};
    system_.copy_to_device(stream, std::as_bytes(std::span(words)), words_.bytes());
  }

  [[nodiscard]] std::span<std::byte> guard_bytes() { return guard_; }
  [[nodiscard]] std::int64_t* guard() { return reinterpret_cast<std::int64_t*>(guard_.data()); }
  [[nodiscard]] std::int64_t* iteration() {
    return reinterpret_cast<std::int64_t*>(words_.bytes().data());
  }
  [[nodiscard]] std::shared_ptr<failure_sink> const& sink() const { return sink_; }

  /// Enqueues the step to the next iteration.
  void next_iteration(stream_ref stream) {
    auto* const now = reinterpret_cast<std::byte*>(iteration());
    std::byte const* const terms[] = {now, now + sizeof(std::int64_t)};  // the second word is 1
    system_.fold(stream, element::int64, reduction::sum, terms, {&now, 1}, sizeof(std::int64_t),
                 nullptr);
  }
  /// Suppresses the effects of all enqueued instructions of all ranks that share the guard. Uses no
  /// stream, for each may be stuck behind a message of a lost rank. Call it before communicators
  /// are aborted.
  void stop() { shared_.stop(system_); }
  [[nodiscard]] bool stopped() const { return shared_.stopped(); }
  /// Throws what the work threw, if anything.
  void rethrow() const {
    std::lock_guard const lock(sink_->mutex);
    if (sink_->what) std::rethrow_exception(sink_->what);
  }

 private:
  System& system_;
  shared_guard<System>& shared_;
  std::span<std::byte> const guard_;
  typename System::memory words_;
  std::shared_ptr<failure_sink> sink_ = std::make_shared<failure_sink>();
};

}  // namespace shunt::detail
