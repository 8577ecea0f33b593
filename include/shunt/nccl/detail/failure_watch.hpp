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

/// Words of device memory: a guard of all effects (0 after `stop`), and the iteration's number.
template <stream_system System>
class failure_watch {
 public:
  using stream_ref = typename System::stream_ref;

  failure_watch(System& system, stream_ref stream, std::int64_t first_iteration)
      : system_(system), words_(system.make_memory(3 * sizeof(std::int64_t))) {
    std::int64_t const words[] = {1, first_iteration - 1, 1};
    system_.copy_to_device(stream, std::as_bytes(std::span(words)), words_.bytes());
  }

  [[nodiscard]] std::span<std::byte> guard_bytes() {
    return words_.bytes().first(sizeof(std::int64_t));
  }
  [[nodiscard]] std::int64_t* guard() {
    return reinterpret_cast<std::int64_t*>(words_.bytes().data());
  }
  [[nodiscard]] std::int64_t* iteration() { return guard() + 1; }
  [[nodiscard]] std::shared_ptr<failure_sink> const& sink() const { return sink_; }

  /// Enqueues the step to the next iteration.
  void next_iteration(stream_ref stream) {
    auto* const now = reinterpret_cast<std::byte*>(iteration());
    std::byte const* const terms[] = {now, now + sizeof(std::int64_t)};  // the third word is 1
    system_.fold(stream, element::int64, reduction::sum, terms, {&now, 1}, sizeof(std::int64_t),
                 nullptr);
  }
  /// Suppresses the effects of all enqueued instructions. Call it before communicators are aborted.
  void stop() {
    auto aside = system_.make_stream();
    std::int64_t const no = 0;
    system_.copy_to_device(aside, std::as_bytes(std::span(&no, 1)),
                           words_.bytes().first(sizeof no));
    auto done = system_.make_event();
    system_.record(done, aside);
    system_.finish(done);
  }
  /// Throws what the work threw, if anything.
  void rethrow() const {
    std::lock_guard const lock(sink_->mutex);
    if (sink_->what) std::rethrow_exception(sink_->what);
  }

 private:
  System& system_;
  typename System::memory words_;
  std::shared_ptr<failure_sink> sink_ = std::make_shared<failure_sink>();
};

}  // namespace shunt::detail
