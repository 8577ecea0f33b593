#pragma once
/// The concepts of an executor and its sessions.
/// See docs/engines.md and docs/writing-an-executor.md.
#include <concepts>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "shunt/execute/work.hpp"
#include "shunt/program/program.hpp"
#include "shunt/program/timeline.hpp"

namespace shunt {

/// An injected failure: the rank's heartbeat stops just before it starts this instruction. The
/// length of the rank's list means: just after the last instruction. A number that the list does
/// not reach has no effect. The rank sends no notice.
struct failure_point {
  rank_id rank{};
  std::int64_t iteration = 0;
  std::int32_t instruction = 0;
  bool operator==(failure_point const&) const = default;
};

/// A run of iterations under one executor. `submit` never waits: a rank goes on to the next program
/// as soon as its own list ends. `wait` returns when every rank has completed all submitted
/// programs, or when a rank was lost and all others have stopped. It ends the session.
///
/// Threads: the library calls all members of a session from the thread that opened it. A session
/// needs no lock unless its executor promises more.
template <class S>
concept session = requires(S& s, std::shared_ptr<program const> const& p) {
  s.submit(p);
  { s.wait() } -> std::same_as<outcome>;
};

/// A session that reports progress before its end, as `run_through_losses` needs it.
/// `wait_until(n)` waits until all ranks have completed the first n programs and returns true; it
/// returns false where a rank is lost or fails before that. `completed_at(n)` returns when all
/// ranks had completed the n-th program (from 1), on the timeline's clock.
/// Requires that `wait_until` has returned true for n or more.
///
/// Threads: as for `session`. `wait_until` may be called again after it returned false.
template <class S>
concept progress_session = session<S> && requires(S& s, std::int32_t n) {
  { s.wait_until(n) } -> std::convertible_to<bool>;
  { s.completed_at(n) } -> std::convertible_to<ticks>;
};

/// When a failure was detected and agreed on. Timelines lack events of killed processes, so process
/// sessions report it here.
struct loss_times {
  ticks noticed = 0;  ///< when, in ns of the steady clock that processes of a machine share
  ticks detect = 0;   ///< from the last sign of life until then, in ns
  ticks agree = 0;    ///< from then until all survivors had agreed which ranks are lost, in ns
};

/// A session that reports the times of the loss which ended it, after `wait`.
template <class S>
concept loss_timing_session = session<S> && requires(S const& s) {
  { s.times_of_loss() } -> std::same_as<loss_times>;
};

/// Returns a non-owning handle on a program.
/// Requires that the program outlives the handle.
[[nodiscard]] std::shared_ptr<program const> non_owning(program const& p);

/// Runs one program in a session of its own, as iteration 0. The `run` of every executor is this
/// function.
/// Returns the outcome of the session.
/// Throws what `open`, `submit` and `wait` throw.
template <class Executor, class Work>
outcome run_once(Executor const& executor, program const& p, Work& w) {
  auto session = executor.open(w, std::int64_t{0});
  session.submit(non_owning(p));
  return session.wait();
}

/// Runs programs on a work: every instruction once, after all that it depends on. The instructions
/// of each lane of a rank start in list order on every executor; an executor without lanes starts a
/// rank's whole list in order. `open(work, first)` starts a session whose first program is
/// iteration `first`. The executor says which kind of work it takes: `work`, or `stream_work`.
template <class E, class Work>
concept executor_of = requires(E const& e, Work& w, program const& p, std::int64_t first) {
  { e.open(w, first) } -> session;
  { e.run(p, w) } -> std::same_as<outcome>;
};

/// The session that an executor opens for a work.
template <class E, class Work>
using session_of =
    decltype(std::declval<E const&>().open(std::declval<Work&>(), std::declval<std::int64_t>()));

/// An executor whose sessions report progress before their end.
template <class E, class Work>
concept progress_executor_of = executor_of<E, Work> && progress_session<session_of<E, Work>>;

/// Implemented by executors whose lost ranks cannot be reused. `admit` announces a new rank in the
/// place of a lost one. It is called before the session in which the replacement takes part is
/// opened, just before `iteration`, when `dead` are dead.
template <class E>
concept admitting_executor =
    requires(E const& e, rank_id joining, std::int64_t iteration, std::span<rank_id const> dead) {
      e.admit(joining, iteration, dead);
    };

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/execute/executor.ipp"
#endif
