#pragma once
/// What a failure stops on one rank's device: enqueued effects, and a work that runs on the host.
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <mutex>
#include <span>

#include "shunt/execute/stream_system.hpp"
#include "shunt/program/program.hpp"

namespace shunt::detail {

/// The first exception of a work that runs as calls of the streams. Shared with those calls.
struct failure_sink {
  std::mutex mutex{};
  std::exception_ptr what{};
};

/// The guard of all effects: a word of the host's memory, 1 until one rank stops. All ranks that a
/// session has in this process share it. What a stopped rank sends is garbage: its communicators
/// are aborted, or it sends behind a suppressed effect. A rank that receives it reads the word
/// later, so nothing takes effect there either. Stop before the abort of any communicator.
template <stream_system System>
class shared_guard {
 public:
  using memory = typename System::memory;

  /// Returns the memory of the word. It ends with the last of its holders.
  [[nodiscard]] std::shared_ptr<memory> of(System& system) {
    std::lock_guard const lock(mutex_);
    auto held = memory_.lock();
    if (!held) {
      held = std::make_shared<memory>(system.make_host_memory(sizeof(std::int64_t)));
      memory_ = held;
      system.set_word(word_in(*held), stopped_ ? 0 : 1);
    }
    return held;
  }
  /// Clears the word. Uses no stream, for each may be stuck behind a message of a lost rank.
  void stop(System& system) {
    std::lock_guard const lock(mutex_);
    stopped_ = true;
    if (auto const held = memory_.lock()) system.set_word(word_in(*held), 0);
  }
  /// Returns false as long as no rank has stopped: what has ended before the call took effect.
  [[nodiscard]] bool stopped() const { return stopped_; }

  [[nodiscard]] static std::int64_t& word_in(memory& m) {
    return *reinterpret_cast<std::int64_t*>(m.bytes().data());
  }

 private:
  std::mutex mutex_{};
  std::weak_ptr<memory> memory_{};
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
        guard_(guard.of(system)),
        words_(system_.make_memory(2 * sizeof(std::int64_t))) {
    std::int64_t const words[] = {first_iteration - 1, 1};
    system_.copy_to_device(stream, std::as_bytes(std::span(words)), words_.bytes());
  }

  [[nodiscard]] std::span<std::byte> guard_bytes() { return guard_->bytes(); }
  [[nodiscard]] std::int64_t* guard() { return &shared_guard<System>::word_in(*guard_); }
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
  /// Returns whether a rank that shares the guard has stopped.
  [[nodiscard]] bool stopped() const { return shared_.stopped(); }
  /// Returns what the work threw. Null: nothing.
  [[nodiscard]] std::exception_ptr thrown() const {
    std::lock_guard const lock(sink_->mutex);
    return sink_->what;
  }
  /// Throws it.
  void rethrow() const {
    if (auto const e = thrown()) std::rethrow_exception(e);
  }

 private:
  System& system_;
  shared_guard<System>& shared_;
  std::shared_ptr<typename System::memory> guard_;
  typename System::memory words_;
  std::shared_ptr<failure_sink> sink_ = std::make_shared<failure_sink>();
};

}  // namespace shunt::detail
