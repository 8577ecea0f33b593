#pragma once
#include <concepts>
#include <cstdint>
#include <memory>
#include <vector>

#include "shunt/execute/work.hpp"
#include "shunt/program/program.hpp"
#include "shunt/program/timeline.hpp"

namespace shunt {

/// A worker that falls silent just before it starts an instruction (or, at the length of its list, just after the last one).
/// It tells nobody; its heartbeat stops.
struct fault {
  rank_id rank{};
  std::int64_t iteration = 0;
  std::int32_t instruction = 0;
  constexpr bool operator==(fault const&) const = default;
};

/// A run of iterations under one executor. `submit` never waits: a rank goes on to the next program as soon as its own list ends.
/// `wait` returns when every rank has completed all that was submitted, or when a rank was lost and all others have stopped.
template <class S>
concept session = requires(S& s, std::shared_ptr<program const> p) {
  s.submit(p);
  { s.wait() } -> std::same_as<outcome>;
};

/// A handle on a program that outlives the session.
[[nodiscard]] inline std::shared_ptr<program const> borrowed(program const& p) { return {std::shared_ptr<void const>{}, &p}; }

/// One program in a session of its own: what every executor's `run` is.
template <class Executor, work Work>
outcome run_once(Executor const& executor, program const& p, Work& w) {
  auto session = executor.open(w);
  session.submit(borrowed(p));
  return session.wait();
}

/// Runs programs on a work: every instruction once, its dependencies kept, and the instructions of each lane of a rank start in list
/// order on every executor; those that know no lanes start a rank's whole list in order. `open(work, first)` starts a session whose first
/// program is iteration `first`.
template <class E, class Work>
concept executor_of = work<Work> && requires(E const& e, Work& w, program const& p, std::int64_t first) {
  { e.open(w, first) } -> session;
  { e.run(p, w) } -> std::same_as<outcome>;
};

}  // namespace shunt
