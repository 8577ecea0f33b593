#pragma once
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>

#include "shunt/core/id.hpp"
#include "shunt/core/operation.hpp"
#include "shunt/program/program.hpp"

namespace shunt {

/// A compute instruction as the user's work sees it.
struct task {
  operation op{};
  std::int64_t iteration = 0;  ///< of the training run; what the data of a micro-batch depends on
  std::span<region const> reads{};
  std::span<region const> writes{};
};

/// The user's computation and memory. `w(rank, task)` computes one operation from and into the
/// buffers it names and nothing else; calls for different ranks may come from different threads at
/// once, calls for one rank never overlap. `w.buffer(rank, id)` is that rank's memory, at least as
/// large as the program says, 64-byte aligned, the same from call to call.
template <class W>
concept work = requires(W& w, rank_id rank, task const& t, buffer_id buffer) {
  w(rank, t);
  { w.buffer(rank, buffer) } -> std::convertible_to<std::span<std::byte>>;
};

/// State that can go back: `restore(rank, iteration)` puts what steps have changed on that rank
/// back to what it was before `iteration` began. At most one step is ever undone, and none while
/// anything runs.
template <class W>
concept restorable =
    requires(W& w, rank_id rank, std::int64_t iteration) { w.restore(rank, iteration); };
template <class W>
concept restorable_work = work<W> && restorable<W>;

}  // namespace shunt
