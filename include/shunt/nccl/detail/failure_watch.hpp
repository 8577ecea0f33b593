#pragma once
/// What a failure stops on one rank's device: enqueued effects, and a work that runs on the host.
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

/// The guard of all effects, a word of the host's memory that is 0 after `stop`, and the
/// iteration's number in device memory.
template <stream_system System>
class failure_watch {
 public:
  using stream_ref = typename System::stream_ref;

  failure_watch(System& system, stream_ref stream, std::int64_t first_iteration)
      : system_(system),
        guard_(system_.make_host_memory(sizeof(std::int64_t))),
        words_(system_.make_memory(2 * sizeof(std::int64_t))) {
    std::int64_t const words[] = {first_iteration - 1, 1};
    system_.copy_to_device(stream, std::as_bytes(std::span(words)), words_.bytes());
    system_.set_word(*guard(), 1);
  }

  [[nodiscard]] std::span<std::byte> guard_bytes() { return guard_.bytes(); }
  [[nodiscard]] std::int64_t* guard() {
    return reinterpret_cast<std::int64_t*>(guard_.bytes().data());
  }
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
  /// Suppresses the effects of all enqueued instructions. Uses no stream, for each may be stuck
  /// behind a message of a lost rank. Call it before communicators are aborted.
  void stop() { system_.set_word(*guard(), 0); }
  /// Throws what the work threw, if anything.
  void rethrow() const {
    std::lock_guard const lock(sink_->mutex);
    if (sink_->what) std::rethrow_exception(sink_->what);
  }

 private:
  System& system_;
  typename System::memory guard_, words_;
  std::shared_ptr<failure_sink> sink_ = std::make_shared<failure_sink>();
};

}  // namespace shunt::detail
