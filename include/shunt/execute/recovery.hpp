#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "shunt/core/error.hpp"
#include "shunt/execute/executor.hpp"
#include "shunt/execute/host/stopwatch.hpp"
#include "shunt/execute/work.hpp"
#include "shunt/program/interrupted.hpp"
#include "shunt/program/program.hpp"
#include "shunt/program/timeline.hpp"

/// Iterations that go on when ranks are lost. An iteration is a transaction: where a rank falls
/// silent the survivors stop, agree on who is gone, undo the steps that not all of them have taken,
/// and begin again, under a new plan, with the first iteration that not all of them have completed.
///
/// How far back: let k be the fewest programs a survivor has completed, so that iteration k is the
/// first to do again. A rank that is ahead has taken the step of iteration k and perhaps begun
/// iteration k+1. It can't have taken the step of k+1 where every step waits, directly or not, for
/// some instruction of its iteration on every live rank: the rank that is still in iteration k
/// hasn't run any. Gradients that all live ranks contribute to, or a pipeline that runs through a
/// live worker of every stage before a gradient is complete, tie the ranks together like that.
/// Hence a work has to undo one step at most. Programs that don't tie their ranks together are
/// found out: the driver throws rather than ask for two steps. No iteration that all ranks had
/// completed is done again.
///
/// The iteration is done again whole, or, where the caller knows how to `salvage`, what is left of
/// it: how far each survivor came follows from the outcome, which is the same for all, so nobody
/// has to ask anybody what is kept.
///
/// Reference: SlipStream (arXiv 2405.14009); the transaction is this library's.
namespace shunt {

/// A lost rank that comes back just before an iteration; where ranks are processes, a new one in
/// its place.
struct join {
  rank_id rank{};
  std::int64_t iteration = 0;
  constexpr bool operator==(join const&) const = default;
};

/// What is left of an interrupted iteration: runs once in place of the whole.
struct salvaged {
  program rest{};
  std::int64_t kept = 0, total = 0;  ///< parts of the iteration that need not be done again, and
                                     ///< all there are, as the caller counts them
};

/// Iterations first .. end-1.
struct recovery {
  std::int64_t first = 0;
  std::int64_t end = 0;
  std::vector<rank_id> dead{};  ///< from the start
  std::vector<join> joins{};    ///< of ranks that are alive then: nothing happens
  /// What runs once after the last iteration, without these ranks, or again where one more is lost
  /// in it; nothing where there is no plan. It runs as iteration `end`, and running it twice must
  /// be as good as once. Validates the last step, for example.
  std::function<std::optional<program>(std::span<rank_id const>)> close{};
  /// What is left of an iteration that was interrupted, without these ranks; nothing where it is to
  /// run whole, and always so where there is no such function. Asked after every loss in the middle
  /// of an iteration, after `plan`; the same answer on all processes. The work's buffers are as the
  /// interrupted program left them, but for what `restore` has put back. What a rank ran must be
  /// known: what it completed of its list, or beyond that its timeline's events.
  std::function<std::optional<salvaged>(std::span<rank_id const>, interrupted_iteration const&)>
      salvage{};
};

/// An iteration that all ranks have completed that live after it; `dead` didn't take part.
struct completed_iteration {
  std::int64_t iteration = 0;
  program const& plan;
  std::span<rank_id const> dead;
  ticks ended_at = 0;  ///< on the clock of its session
  std::optional<ticks>
      took{};  ///< since the iteration before it had ended; nothing for a session's first
};

/// What a loss cost. Times are in nanoseconds; where ranks are processes, each sees its own.
struct loss {
  std::int64_t iteration = 0;  ///< the first that was done again
  std::vector<rank_id>
      ranks{};  ///< ascending; none where connections broke and everybody is still there
  std::int32_t steps_undone = 0;  ///< survivors that had stepped
  std::int64_t instructions_lost =
      0;  ///< that survivors had completed and, unless what they came to is kept, do again
  std::int64_t kept = 0,
               total = 0;  ///< as `salvage` said; 0 of 0 where the iteration was done again whole
  ticks noticed = 0;  ///< when, on the steady clock, which processes of one machine share; 0 where
                      ///< no process died
  /// From the lost rank's last sign of life, its last instruction where that is known. In one
  /// process to the end of the session; 0 where the clock was virtual.
  ticks detect = 0;
  ticks agree =
      0;  ///< to stop and agree on the dead; in one process the executor knows who fell silent
  ticks restore = 0;  ///< to put the survivors' state back
  ticks replan = 0;   ///< to plan without them
  ticks rebuild = 0;  ///< to open the next session: processes meet and connect
  ticks redo =
      0;  ///< from then on, until the iteration was completed under the new plan; 0 where it wasn't
};

struct recovery_report {
  /// What ran under one plan.
  struct session {
    std::int64_t first = 0;
    std::vector<rank_id> dead{};
    std::shared_ptr<program const> plan{};
    std::shared_ptr<program const>
        rest{};  ///< ran in place of `plan` as the first iteration, where that had been interrupted
    outcome result{};
    ticks opening = 0;  ///< how long it took to open it, in nanoseconds: processes meet and connect
  };

  std::int64_t end = 0;         ///< iterations before this one are completed
  std::vector<rank_id> dead{};  ///< at the end, ascending
  std::vector<loss> losses{};
  std::vector<join> joined{};       ///< those that took place
  std::vector<session> sessions{};  ///< one after another, those of state transfers left out
  std::string stopped{};            ///< why it ended early; empty where it didn't
};

/// Iteration of the program that brings a joining rank its state, as tasks and faults see it.
inline constexpr std::int64_t transfer_iteration = -1;

namespace detail {

template <class Executor, class Work, class Plan, class Completed, class Transfer>
class recovery_driver {
 public:
  recovery_driver(Executor const& executor, Work& w, recovery const& config, Plan& plan,
                  Completed& completed, Transfer& transfer)
      : executor_(executor),
        work_(w),
        config_(config),
        plan_(plan),
        completed_(completed),
        transfer_(transfer) {
    report_.end = config.first;
    add_dead(config.dead);
    tried_.assign(config.joins.size(), false);
  }

  recovery_report operator()() && {
    while (report_.end < config_.end && report_.stopped.empty()) {
      bring_back();
      if (!current_) replan();
      if (current_) run_until(next_stop());
    }
    if (report_.stopped.empty() && config_.close) close();
    return std::move(report_);
  }

 private:
  /// The next iteration before which a rank comes back, or the end.
  [[nodiscard]] std::int64_t next_stop() const {
    auto stop = config_.end;
    for (join const& j : config_.joins)
      if (j.iteration > report_.end) stop = std::min(stop, j.iteration);
    return stop;
  }

  void bring_back() {
    for (std::size_t n = 0; n < config_.joins.size(); ++n) {
      join const& j = config_.joins[n];
      if (j.iteration != report_.end || tried_[n]) continue;
      tried_[n] = true;
      auto const at = std::lower_bound(report_.dead.begin(), report_.dead.end(), j.rank);
      if (at == report_.dead.end() || *at != j.rank) continue;
      std::optional<program> copies = transfer_(j.rank, std::span<rank_id const>(report_.dead));
      if (!copies) continue;
      if constexpr (admitting_executor<Executor>)
        executor_.admit(j.rank, j.iteration, std::span<rank_id const>(report_.dead));
      auto const result = run_alone(std::move(*copies), transfer_iteration);
      current_.reset();
      rest_.reset();
      if (ended_whole(result)) {
        report_.dead.erase(at);
        report_.joined.push_back(j);
      } else {  // whoever is gone now, nobody else's state has changed: another peer may give the
                // joining rank its state
        tried_[n] = std::binary_search(result.lost.begin(), result.lost.end(), j.rank);
        if (!tried_[n]) --n;
      }
    }
  }

  void close() {
    while (auto p = config_.close(std::span<rank_id const>(report_.dead)))
      if (ended_whole(run_alone(std::move(*p), config_.end))) return;
    stop_without_plan();
  }

  /// A program in a session of its own; notes what is lost in it.
  outcome run_alone(program p, std::int64_t iteration) {
    auto session = executor_.open(work_, iteration);
    alone_ = std::make_shared<program const>(std::move(p));
    session.submit(alone_);
    auto result = session.wait();
    if (ended_whole(result)) {
      broken_ = 0;
      return result;
    }
    if (result.lost.empty()) not_for_ever();
    loss l{.iteration = report_.end, .ranks = result.lost};
    note_times(l, session, result, 0);
    report_.losses.push_back(std::move(l));
    add_dead(result.lost);
    return result;
  }
  /// Whether nobody was lost in the last program that ran alone, and all who take part have
  /// completed it.
  [[nodiscard]] bool ended_whole(outcome const& result) const {
    for (rank_id const r : ids<rank_id>(result.done.size()))
      if (!alone_->ranks[r].instructions.empty() && result.done[r].programs == 0) return false;
    return result.lost.empty();
  }

  /// A session ended early and nobody is lost: processes lost their connections. Once in a while
  /// that happens.
  void not_for_ever() {
    constexpr int most = 8;
    if (!loss_timing_session<decltype(executor_.open(work_, 0))> || ++broken_ > most)
      throw invalid_program("iteration " + std::to_string(report_.end) +
                            " neither completes nor loses a rank");
  }

  void replan() {
    std::optional<program> p = plan_(std::span<rank_id const>(report_.dead));
    current_ = p ? std::make_shared<program const>(std::move(*p)) : nullptr;
    if (!current_) stop_without_plan();
  }
  void stop_without_plan() {
    report_.stopped = "no plan for iteration " + std::to_string(report_.end) + " without ranks";
    for (rank_id const r : report_.dead) report_.stopped += " " + std::to_string(r.value());
  }

  void run_until(std::int64_t stop) {
    stopwatch const since_open;
    auto const first = report_.end;
    auto session = executor_.open(work_, first);
    auto const opening = since_open.now();
    if (redoing_) report_.losses.back().rebuild = opening;
    stopwatch const since_redo;
    report_.sessions.push_back({.first = first,
                                .dead = report_.dead,
                                .plan = current_,
                                .rest = std::exchange(rest_, nullptr),
                                .opening = opening});
    for (auto k = first; k < stop; ++k) session.submit(program_of(k - first));
    ticks before = 0;
    for (std::int32_t n = 1; report_.end < stop && session.wait_until(n); ++n) {
      ticks const now = session.completed_at(n);
      if (n == 1 && redoing_) report_.losses.back().redo = since_redo.now();
      redoing_ = false;
      broken_ = 0;
      announce(report_.dead, now, n > 1 ? std::optional(now - before) : std::nullopt);
      before = now;
    }
    redoing_ = false;
    outcome const& result = report_.sessions.back().result = session.wait();
    if (result.lost.empty() && report_.end >= stop) return;
    if (result.lost.empty()) not_for_ever();
    loss l{.ranks = result.lost};
    note_times(l, session, result, since_open.now());
    recover(stop, std::move(l));
  }
  /// The n-th program of the session that runs, or ran last.
  [[nodiscard]] std::shared_ptr<program const> const& program_of(std::int64_t n) const {
    auto const& last = report_.sessions.back();
    return n == 0 && last.rest ? last.rest : last.plan;
  }

  /// How long it took to notice and to agree, where the session knows, or `elapsed` since it was
  /// opened.
  template <class Session>
  static void note_times(loss& l, Session const& session, outcome const& result, ticks elapsed) {
    if constexpr (loss_timing_session<Session>) {
      auto const times = session.times_of_loss();
      l.noticed = times.noticed;
      l.detect = times.detect;
      l.agree = times.agree;
    } else if (elapsed > 0 && result.timeline.seconds_per_tick > 0) {
      l.detect = elapsed - silent_since(result);
    }
  }

  void announce(std::vector<rank_id> const& dead, ticks ended_at, std::optional<ticks> took) {
    completed_(completed_iteration{report_.end,
                                   *program_of(report_.end - report_.sessions.back().first), dead,
                                   ended_at, took});
    ++report_.end;
  }

  /// After a session that was to run until `stop`.
  void recover(std::int64_t stop, loss l) {
    stopwatch const clock;
    outcome const& result = report_.sessions.back().result;
    auto const first = report_.sessions.back().first;
    auto const dead_before = report_.dead;
    add_dead(result.lost);
    l.agree += clock.now();

    auto const back_to = fewest_programs(result);
    while (report_.end < first + back_to)
      announce(dead_before, last_end(result, report_.end - first), std::nullopt);
    l.iteration = report_.end;
    for (rank_id const r : survivors(result)) {
      auto const steps = steps_to_undo(r, result.done[r], back_to);
      if (steps > 1)
        throw invalid_program("rank " + std::to_string(r.value()) + " would have to undo " +
                              std::to_string(steps) + " steps to go back to iteration " +
                              std::to_string(l.iteration) +
                              ": nothing in the program ties it to the slowest rank");
      l.steps_undone += steps;
    }
    for (event const& e : result.timeline.events)
      l.instructions_lost += e.iteration >= back_to &&
                             !std::binary_search(report_.dead.begin(), report_.dead.end(), e.rank);

    if (report_.end < config_.end) {
      auto const agreed = clock.now();
      for (rank_id const r : survivors(result)) work_.restore(r, report_.end);
      l.restore = clock.now() - agreed;
      replan();
      if (current_ && config_.salvage && report_.end < stop) salvage_what_ran(back_to, l);
      l.replan = clock.now() - agreed - l.restore;
      redoing_ = current_ != nullptr;
    }
    report_.losses.push_back(std::move(l));
  }

  /// Asks what is left of the n-th program of the session.
  void salvage_what_ran(std::int32_t n, loss& l) {
    auto const now = program_of(n), next = program_of(n + 1);
    bool const rest = now == report_.sessions.back().rest;
    auto left = config_.salvage(
        std::span<rank_id const>(report_.dead),
        interrupted_iteration{*now, *next, rest, what_ran(*now, n), what_ran(*next, n + 1)});
    if (!left) return;
    rest_ = std::make_shared<program const>(std::move(left->rest));
    l.kept = left->kept;
    l.total = left->total;
  }
  /// Which instructions of the n-th program the survivors have run: in list order, or lane by lane
  /// where the timeline says so.
  [[nodiscard]] indexed<rank_id, std::vector<bool>> what_ran(program const& p,
                                                             std::int32_t n) const {
    outcome const& result = report_.sessions.back().result;
    indexed<rank_id, std::vector<bool>> ran(p.ranks.size());
    for (rank_id const r : survivors(result)) {
      auto const& done = result.done[r];
      auto const length = p.ranks[r].instructions.size();
      auto const prefix = done.programs > n    ? length
                          : done.programs == n ? static_cast<std::size_t>(done.instructions)
                                               : 0;
      ran[r].assign(length, false);
      std::fill_n(ran[r].begin(), prefix, true);
    }
    for (event const& e : result.timeline.events)
      if (e.iteration == n && !ran[e.rank].empty())
        ran[e.rank][static_cast<std::size_t>(e.instruction)] = true;
    return ran;
  }

  [[nodiscard]] std::vector<rank_id> survivors(outcome const& result) const {
    std::vector<rank_id> live;
    for (rank_id const r : ids<rank_id>(result.done.size()))
      if (!std::binary_search(report_.dead.begin(), report_.dead.end(), r)) live.push_back(r);
    return live;
  }

  /// Whose list is empty has nothing to complete: it may be dead without our knowing, where `plan`
  /// itself ran programs and lost it.
  [[nodiscard]] std::int32_t fewest_programs(outcome const& result) const {
    auto fewest = std::numeric_limits<std::int32_t>::max();
    for (rank_id const r : survivors(result))
      if (!current_->ranks[r].instructions.empty())
        fewest = std::min(fewest, result.done[r].programs);
    return fewest == std::numeric_limits<std::int32_t>::max() ? 0 : fewest;
  }

  /// Whole programs ahead of the slowest, and one more where it has stepped in the program it was
  /// stopped in.
  [[nodiscard]] std::int32_t steps_to_undo(rank_id r, progress const& done,
                                           std::int32_t back_to) const {
    auto const& list = program_of(done.programs)->ranks[r].instructions;
    bool const stepped =
        std::any_of(list.begin(), list.begin() + done.instructions, [](instruction const& i) {
          return i.code == opcode::compute && i.op.kind == op_kind::step;
        });
    return list.empty() ? 0 : done.programs - back_to + stepped;
  }

  /// The end of the last instruction of the rank that was lost last.
  [[nodiscard]] static ticks silent_since(outcome const& result) {
    ticks last = 0;
    for (event const& e : result.timeline.events)
      if (std::binary_search(result.lost.begin(), result.lost.end(), e.rank))
        last = std::max(last, e.end);
    return last;
  }

  /// When the survivors had ended a program of the session.
  [[nodiscard]] static ticks last_end(outcome const& result, std::int64_t program) {
    ticks last = 0;
    for (event const& e : result.timeline.events)
      if (e.iteration == program) last = std::max(last, e.end);
    return last;
  }

  void add_dead(std::vector<rank_id> const& more) {
    auto& dead = report_.dead;
    dead.insert(dead.end(), more.begin(), more.end());
    std::sort(dead.begin(), dead.end());
    dead.erase(std::unique(dead.begin(), dead.end()), dead.end());
  }

  Executor const& executor_;
  Work& work_;
  recovery const& config_;
  Plan& plan_;
  Completed& completed_;
  Transfer& transfer_;
  recovery_report report_{};
  std::vector<bool> tried_{};  // by join
  std::shared_ptr<program const> current_{};
  std::shared_ptr<program const> rest_{};   // of the next iteration, where that was interrupted
  std::shared_ptr<program const> alone_{};  // the last that had a session of its own
  bool redoing_ = false;
  int broken_ = 0;  // sessions that ended early and lost nobody, since one that made headway
};

}  // namespace detail

/// Runs iterations through losses and joins on any executor, and says what happened. The caller
/// brings along
///   plan(span<rank_id const> dead) → optional<program>: one iteration without these ranks, whose
///   lists are empty; nothing where there is no plan, which ends the run;
///   completed(completed_iteration const&): called once an iteration, in order, when all ranks have
///   completed it; they may be ahead; transfer(rank_id joining, span<rank_id const> dead) →
///   optional<program>: brings a joining rank what a peer holds and changes nothing else. It runs
///   as iteration `transfer_iteration`.
/// Throws what the work and these throw, and invalid_program where a rank would have to undo two
/// steps.
template <class Executor, restorable Work, class Plan, class Completed, class Transfer>
  requires executor_of<Executor, Work>
recovery_report run_through_losses(Executor const& executor, Work& w, recovery const& config,
                                   Plan&& plan, Completed&& completed, Transfer&& transfer) {
  return detail::recovery_driver(executor, w, config, plan, completed, transfer)();
}

/// The same without joins.
template <class Executor, restorable Work, class Plan, class Completed>
  requires executor_of<Executor, Work>
recovery_report run_through_losses(Executor const& executor, Work& w, recovery const& config,
                                   Plan&& plan, Completed&& completed) {
  auto const never = [](rank_id, std::span<rank_id const>) { return std::optional<program>{}; };
  return run_through_losses(executor, w, config, plan, completed, never);
}

}  // namespace shunt
