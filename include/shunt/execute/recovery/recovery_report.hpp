#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "shunt/core/id.hpp"
#include "shunt/core/units.hpp"
#include "shunt/program/interrupted.hpp"
#include "shunt/program/program.hpp"
#include "shunt/program/timeline.hpp"

namespace shunt {

/// A lost rank that comes back just before an iteration. Where ranks are processes, a new process
/// takes its place.
struct join {
  rank_id rank{};
  std::int64_t iteration = 0;
  bool operator==(join const&) const = default;
};

/// The rest of an interrupted iteration. It runs once in place of the whole iteration.
struct salvaged {
  program rest{};
  std::int64_t kept = 0;   ///< parts of the iteration that survive; the caller defines a part
  std::int64_t total = 0;  ///< all its parts
};

/// What `run_through_losses` is to run: iterations first .. end-1.
struct recovery {
  std::int64_t first = 0;
  std::int64_t end = 0;
  std::vector<rank_id> dead{};  ///< ranks that are dead from the start
  std::vector<join> joins{};    ///< a join of a live rank has no effect
  /// Returns the program that runs once after the last iteration, without these dead ranks, or
  /// nothing where there is no plan. It validates the last step, for example. It runs as iteration
  /// `end`, and again if a rank is lost in it, so two runs must have the effect of one.
  std::function<std::optional<program>(std::span<rank_id const>)> close{};
  /// Returns the rest of an interrupted iteration, without these dead ranks, or nothing where the
  /// iteration is to run whole. Without this function it always runs whole. Called after every loss
  /// in the middle of an iteration, after `plan`. All processes must get the same answer. The
  /// work's buffers are as the interrupted program left them, except for what `restore` has put
  /// back.
  /// Requires that the instructions which a rank ran are known: from its completed part of the
  /// list, or beyond that from the timeline's events.
  std::function<std::optional<salvaged>(std::span<rank_id const>, interrupted_iteration const&)>
      salvage{};
  /// Returns the program that prepares the ranks for the next session's plan, without these dead
  /// ranks, such as copies of state to other holders; nothing where all is prepared. Called before
  /// every session, after `plan`. It runs as iteration `transfer_iteration`. After a loss in it
  /// `plan` and this function are called again, so it must leave what it reads as it is.
  std::function<std::optional<program>(std::span<rank_id const>)> transition{};
  /// Called when all ranks have completed a program of `transition`, with what it came to, while no
  /// session is open.
  std::function<void(program const&, outcome const&)> arrived{};
  /// Returns the iteration before which a session that begins with this one ends at the latest, so
  /// at least the next. Then `plan` is called again. Without this function sessions end where they
  /// must.
  std::function<std::int64_t(std::int64_t)> pause_before{};
  /// Returns whether the plan still serves when all ranks are about to have completed the
  /// iterations before this one. Where it doesn't, the session ends after the iterations that ranks
  /// have begun, and `plan` is called again. Ranks then get their programs only `lookahead` ahead.
  /// All processes must get the same answer.
  std::function<bool(std::int64_t)> plan_serves{};
  /// A rank is at most one iteration ahead of another: with two programs it never waits for more.
  static constexpr std::int64_t lookahead = 2;
};

/// An iteration that is completed by all ranks that live after it. The ranks in `dead` took no
/// part.
struct completed_iteration {
  std::int64_t iteration = 0;
  program const& plan;
  std::span<rank_id const> dead;
  ticks ended_at = 0;  ///< on the clock of its session
  /// Since the end of the previous iteration; nothing for the first of a session.
  std::optional<ticks> took{};
};

/// The cost of a loss. Times are in nanoseconds. Where ranks are processes each measures its own.
struct loss {
  std::int64_t iteration = 0;     ///< the first iteration that was done again
  std::vector<rank_id> ranks{};   ///< ascending; empty where connections broke and all ranks live
  std::int32_t steps_undone = 0;  ///< number of survivors that had stepped
  /// Instructions that survivors had completed. They run again, unless their results are kept.
  std::int64_t instructions_lost = 0;
  std::int64_t kept = 0;   ///< from `salvage`; 0 where the iteration was done again whole
  std::int64_t total = 0;  ///< likewise
  /// When the loss was noticed, on the steady clock, which the processes of one machine share. 0
  /// where no process died.
  ticks noticed = 0;
  /// From the lost rank's last sign of life, or its last instruction where that is known. In one
  /// process to the end of the session; 0 where the clock was virtual.
  ticks detect = 0;
  /// To stop and to agree on the dead. In one process the executor knows which rank failed.
  ticks agree = 0;
  ticks restore = 0;  ///< to put the survivors' state back
  ticks replan = 0;   ///< to plan without the lost ranks
  ticks rebuild = 0;  ///< to open the next session: processes meet and connect
  /// From then until the iteration was completed under the new plan; 0 where it was not completed.
  ticks redo = 0;
};

/// What `run_through_losses` did.
struct recovery_report {
  /// The iterations of one session, all under one plan.
  struct session {
    std::int64_t first = 0;
    std::vector<rank_id> dead{};
    std::shared_ptr<program const> plan{};
    /// Ran in place of `plan` as the first iteration, where that had been interrupted; else null.
    std::shared_ptr<program const> rest{};
    outcome result{};
    ticks opening = 0;  ///< to open it, in nanoseconds: processes meet and connect
  };

  std::int64_t end = 0;             ///< iterations before this one are completed
  std::vector<rank_id> dead{};      ///< at the end, ascending
  std::vector<loss> losses{};       ///< in order
  std::vector<join> joined{};       ///< joins that took place
  std::vector<session> sessions{};  ///< in order, without those of state transfers
  std::string stopped{};            ///< why the run ended early; empty where it did not
};

/// Adds what a later part of the same run did.
void append(recovery_report& all, recovery_report later);

/// The iteration of programs that bring ranks their state, joining ones and those of a transition,
/// for tasks and failures.
inline constexpr std::int64_t transfer_iteration = -1;

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/execute/recovery/recovery_report.ipp"
#endif
