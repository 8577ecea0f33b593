#pragma once
#include <optional>
#include <span>

#include "shunt/execute/executor.hpp"
#include "shunt/execute/recovery/recovery_driver.hpp"
#include "shunt/execute/recovery/recovery_report.hpp"
#include "shunt/execute/work.hpp"
#include "shunt/program/program.hpp"

namespace shunt {

/// Runs iterations through losses and joins on any executor. An iteration is a transaction: after a
/// loss the survivors stop, agree on the dead, undo the steps that not all of them have taken, and
/// go on under a new plan with the first iteration that not all of them have completed. It is done
/// again whole, or, with `config.salvage`, its rest is. A completed iteration is never done again.
/// See docs/engines.md: why at most one step is undone.
///
/// The caller gives three functions. `plan(span<rank_id const> dead)` returns an optional<program>:
/// one iteration without these ranks, whose lists are empty; nothing ends the run.
/// `completed(completed_iteration const&)` is called once an iteration, in order, when all ranks
/// have completed it; some may be ahead. `transfer(rank_id joining, span<rank_id const> dead)`
/// returns an optional<program> that copies a peer's state to a joining rank and changes nothing
/// else. It runs as iteration `transfer_iteration`. Without it no rank joins.
///
/// Threads: all three, and `w.restore`, are called from the calling thread.
/// Returns what happened.
/// Throws what the executor, the work and the functions throw; invalid_program where a rank would
/// have to undo two steps, or iterations neither complete nor lose a rank.
/// Reference: SlipStream (arXiv 2405.14009) for the re-planning; the transaction is this library's.
template <class Executor, restorable Work, class Plan, class Completed, class Transfer>
  requires progress_executor_of<Executor, Work>
recovery_report run_through_losses(Executor const& executor, Work& w, recovery const& config,
                                   Plan&& plan, Completed&& completed, Transfer&& transfer) {
  return detail::recovery_driver(executor, w, config, plan, completed, transfer)();
}

/// The same without joins.
template <class Executor, restorable Work, class Plan, class Completed>
  requires progress_executor_of<Executor, Work>
recovery_report run_through_losses(Executor const& executor, Work& w, recovery const& config,
                                   Plan&& plan, Completed&& completed) {
  auto const never = [](rank_id, std::span<rank_id const>) { return std::optional<program>{}; };
  return run_through_losses(executor, w, config, plan, completed, never);
}

}  // namespace shunt
