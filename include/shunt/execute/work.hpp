#pragma once
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>

#include "shunt/core/id.hpp"
#include "shunt/core/operation.hpp"
#include "shunt/core/units.hpp"
#include "shunt/program/program.hpp"

namespace shunt {

/// A compute instruction as the user's work gets it.
struct task {
  operation op{};
  std::int64_t iteration = 0;       ///< of the training run; data depends on it and the micro-batch
  std::span<region const> reads{};  ///< in the order in which the lowering names them
  std::span<region const> writes{};  ///< likewise
  /// When it began, in nanoseconds of the steady clock; 0 where the executor doesn't know.
  ticks started = 0;
};

/// The user's computation and memory. `w(rank, task)` computes one operation. It touches only the
/// regions that the task names. `w.buffer(rank, id)` returns that rank's memory, at least as large
/// as the program says, 64-byte aligned, the same from call to call.
///
/// Threads: calls for different ranks may come from different threads at once. Calls for one rank
/// never overlap.
template <class W>
concept work = requires(W& w, rank_id rank, task const& t, buffer_id buffer) {
  w(rank, t);
  { w.buffer(rank, buffer) } -> std::convertible_to<std::span<std::byte>>;
};

/// State that can be rolled back: `restore(rank, iteration)` puts all state of that rank back to
/// its value before `iteration` began. It is called only where the rank has stepped in `iteration`,
/// at least for one of its stages. In programs of `lower` the kept copies of all its stages then
/// hold that value, so copying every one of them over its state is enough.
///
/// Threads: called by the recovery driver while no session is open.
template <class W>
concept restorable =
    requires(W& w, rank_id rank, std::int64_t iteration) { w.restore(rank, iteration); };
/// A work whose state can be rolled back.
template <class W>
concept restorable_work = work<W> && restorable<W>;

}  // namespace shunt
