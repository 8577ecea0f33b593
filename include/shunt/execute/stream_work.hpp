#pragma once
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>

#include "shunt/core/id.hpp"
#include "shunt/core/operation.hpp"
#include "shunt/program/program.hpp"

namespace shunt {

/// A compute instruction as a work on streams sees it. It is enqueued before anybody knows its
/// iteration (one graph serves many) or whether its condition holds, so both stand in memory of the
/// device, to be read when the stream gets there.
struct stream_task {
  operation op{};
  std::int64_t const* iteration =
      nullptr;  ///< the word says which iteration of the training run it is
  std::int64_t const* condition =
      nullptr;  ///< null: always; else the operation must leave no trace where the word is 0
  std::span<region const> reads{};
  std::span<region const> writes{};
};

/// The user's computation and memory on a device. `w(rank, task, stream)` only enqueues: it never
/// waits for the device, allocates no device memory and uses no stream but the one it is given (or
/// others that it ties to it on both sides), for the call may be captured into a graph. All calls
/// come from one thread. `w.buffer(rank, id)` is memory of the device, at least as large as the
/// program says, 64-byte aligned, the same from call to call.
template <class W, class Stream>
concept stream_work =
    requires(W& w, rank_id rank, stream_task const& t, Stream stream, buffer_id buffer) {
      w(rank, t, stream);
      { w.buffer(rank, buffer) } -> std::convertible_to<std::span<std::byte>>;
    };

}  // namespace shunt
