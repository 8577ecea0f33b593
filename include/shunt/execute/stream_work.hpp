#pragma once
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>

#include "shunt/core/id.hpp"
#include "shunt/core/operation.hpp"
#include "shunt/execute/stream_system.hpp"
#include "shunt/execute/work.hpp"
#include "shunt/program/program.hpp"

namespace shunt {

/// A compute instruction as a work on streams gets it. When it is enqueued its iteration and its
/// condition are not known (one graph serves many iterations). Both stand in device memory, to be
/// read when the stream gets there.
struct stream_task {
  operation op{};
  std::int64_t const* iteration = nullptr;  ///< device word: the iteration of the training run
  /// Device word: the operation must have no effect where it is 0. Null: no condition.
  std::int64_t const* condition = nullptr;
  std::span<region const> reads{};
  std::span<region const> writes{};
};

/// The user's computation and memory on a device. `w(rank, task, stream)` only enqueues. The call
/// may be captured into a graph, so it never waits for the device and allocates no device memory.
/// It uses the given stream, or others that it joins with it on both sides. `w.buffer(rank, id)`
/// returns device memory, at least as large as the program says, 64-byte aligned, the same from
/// call to call.
///
/// Threads: all calls for one session come from one thread.
template <class W, class Stream>
concept stream_work =
    requires(W& w, rank_id rank, stream_task const& t, Stream stream, buffer_id buffer) {
      w(rank, t, stream);
      { w.buffer(rank, buffer) } -> std::convertible_to<std::span<std::byte>>;
    };

/// A work that can run on a system's streams: one that enqueues itself or, where the system can
/// call back, a work of the host whose buffers the system's streams can reach.
template <class W, class System>
concept work_on_streams = stream_system<System> && (stream_work<W, typename System::stream_ref> ||
                                                    (work<W> && calling_stream_system<System>));

}  // namespace shunt
