#pragma once
#include <concepts>
#include <cstdint>
#include <memory>
#include <span>

#include "shunt/core/id.hpp"
#include "shunt/core/units.hpp"
#include "shunt/execute/work.hpp"
#include "shunt/program/program.hpp"
#include "shunt/program/timeline.hpp"

namespace shunt {

/// A worker that falls silent just before it starts an instruction (or, at the length of its list,
/// just after the last one). It tells nobody; its heartbeat stops.
struct failure_point {
  rank_id rank{};
  std::int64_t iteration = 0;
  std::int32_t instruction = 0;
  constexpr bool operator==(failure_point const&) const = default;
};

/// A run of iterations under one executor. `submit` never waits: a rank goes on to the next program
/// as soon as its own list ends. `wait` returns when every rank has completed all that was
/// submitted, or when a rank was lost and all others have stopped.
template <class S>
concept session = requires(S& s, std::shared_ptr<program const> p) {
  s.submit(p);
  { s.wait() } -> std::same_as<outcome>;
};

/// How a session's loss was noticed: for sessions that know it better than their timeline, which
/// ranks that died on their own are not in.
struct loss_times {
  ticks noticed =
      0;  ///< when, in nanoseconds of the steady clock, which the processes of one machine share
  ticks detect = 0;  ///< from the last sign of life; in nanoseconds
  ticks agree =
      0;  ///< from then on until all that were left had agreed who is lost; in nanoseconds
};
template <class S>
concept loss_timing_session = session<S> && requires(S const& s) {
  { s.times_of_loss() } -> std::same_as<loss_times>;
};

/// A handle on a program that outlives the session.
[[nodiscard]] std::shared_ptr<program const> non_owning(program const& p);

/// One program in a session of its own: what every executor's `run` is.
template <class Executor, work Work>
outcome run_once(Executor const& executor, program const& p, Work& w) {
  auto session = executor.open(w);
  session.submit(non_owning(p));
  return session.wait();
}

/// Runs programs on a work: every instruction once, its dependencies kept, and the instructions of
/// each lane of a rank start in list order on every executor; those that know no lanes start a
/// rank's whole list in order. `open(work, first)` starts a session whose first program is
/// iteration `first`. Works are of the kind that the executor asks for: `work`, or `stream_work`.
template <class E, class Work>
concept executor_of = requires(E const& e, Work& w, program const& p, std::int64_t first) {
  { e.open(w, first) } -> session;
  { e.run(p, w) } -> std::same_as<outcome>;
};

/// An executor whose lost ranks are gone for good must be told that a new one comes in a rank's
/// place: before the next session is opened, just before `iteration`, when `dead` are dead.
template <class E>
concept admitting_executor =
    requires(E const& e, rank_id joining, std::int64_t iteration, std::span<rank_id const> dead) {
      e.admit(joining, iteration, dead);
    };

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/execute/executor.ipp"
#endif
