#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "shunt/core/error.hpp"
#include "shunt/execute/executor.hpp"
#include "shunt/execute/rank_loop.hpp"
#include "shunt/execute/work.hpp"
#include "shunt/program/program.hpp"
#include "shunt/program/timeline.hpp"

/// Iterations that go on when ranks are lost. An iteration is a transaction: where a rank falls silent the survivors stop, agree on who
/// is gone, undo the steps that not all of them have taken, and begin again, under a new plan, with the first iteration that not all of
/// them have completed.
///
/// How far back: let k be the fewest programs a survivor has completed, so that iteration k is the first to do again. A rank that is
/// ahead has taken the step of iteration k and perhaps begun iteration k+1. It can't have taken the step of k+1 where every step waits,
/// directly or not, for some instruction of its iteration on every live rank: the rank that is still in iteration k hasn't run any.
/// Gradients that all live ranks contribute to, or a pipeline that runs through a live worker of every stage before a gradient is
/// complete, tie the ranks together like that. Hence a work has to undo one step at most. Programs that don't tie their ranks together
/// are found out: the driver throws rather than ask for two steps. No iteration that all ranks had completed is done again.
///
/// Reference: SlipStream (arXiv 2405.14009); the transaction is this library's.
namespace shunt {

/// A lost rank that comes back just before an iteration.
struct join {
  rank_id rank{};
  std::int64_t iteration = 0;
  constexpr bool operator==(join const&) const = default;
};

/// Iterations first .. end-1.
struct recovery {
  std::int64_t first = 0;
  std::int64_t end = 0;
  std::vector<rank_id> dead{};  ///< from the start
  std::vector<join> joins{};    ///< of ranks that are alive then: nothing happens
};

/// An iteration that all ranks have completed.
struct completed_iteration {
  std::int64_t iteration = 0;
  program const& plan;
  std::span<rank_id const> dead;
  ticks ended_at = 0;           ///< on the clock of its session
  std::optional<ticks> took{};  ///< since the iteration before it had ended; nothing for a session's first
};

/// What a loss cost. Times are in nanoseconds.
struct loss {
  std::int64_t iteration = 0;       ///< the first that was done again
  std::vector<rank_id> ranks{};     ///< ascending
  std::int32_t steps_undone = 0;    ///< survivors that had stepped
  std::int64_t instructions_lost = 0;  ///< that survivors had completed and do again
  ticks detect = 0;   ///< from the lost rank's last instruction to the end of the session; 0 where the clock was virtual
  ticks agree = 0;    ///< to agree on the dead
  ticks replan = 0;   ///< to plan without them
  ticks restore = 0;  ///< to put the survivors' state back
  ticks redo = 0;     ///< until the iteration was completed under the new plan; 0 where it wasn't
};

struct recovery_report {
  /// What ran under one plan.
  struct session {
    std::int64_t first = 0;
    std::vector<rank_id> dead{};
    std::shared_ptr<program const> plan{};
    outcome result{};
  };

  std::int64_t end = 0;               ///< iterations before this one are completed
  std::vector<rank_id> dead{};        ///< at the end, ascending
  std::vector<loss> losses{};
  std::vector<join> joined{};         ///< those that took place
  std::vector<session> sessions{};    ///< one after another, those of state transfers left out
  std::string stopped{};              ///< why it ended early; empty where it didn't
};

/// Iteration of the program that brings a joining rank its state, as tasks and faults see it.
inline constexpr std::int64_t transfer_iteration = -1;

/// The parts of a recovery that its caller brings along.
///   plan(dead) → optional<program>: one iteration without these ranks, whose lists are empty; nothing where there is no plan.
///   completed(completed_iteration const&): called once an iteration, in order, when all ranks have completed it; they may be ahead.
///   transfer(rank, dead) → optional<program>: brings a joining rank what a peer holds, and changes nothing else.
template <class Plan, class Completed, class Transfer>
class recovery_driver;

/// Runs iterations through losses and joins, and says what happened. Throws what the work and the callables throw, and invalid_program
/// where a rank would have to undo two steps.
template <class Executor, restorable_work Work, class Plan, class Completed, class Transfer>
  requires executor_of<Executor, Work>
recovery_report run_through_losses(Executor const& executor, Work& work, recovery const& config, Plan&& plan, Completed&& completed,
                                   Transfer&& transfer) {
  using lost_ranks = std::vector<rank_id>;
  recovery_report report{.end = config.first, .dead = config.dead};
  auto& dead = report.dead;
  auto const add_dead = [&](lost_ranks const& more) {
    dead.insert(dead.end(), more.begin(), more.end());
    std::sort(dead.begin(), dead.end());
    dead.erase(std::unique(dead.begin(), dead.end()), dead.end());
  };
  add_dead({});
  auto joins = config.joins;

  while (report.end < config.end) {
    // TODO
  }
  return report;
}

}  // namespace shunt
