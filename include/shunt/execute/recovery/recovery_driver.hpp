#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "shunt/core/error.hpp"
#include "shunt/core/id.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/execute/executor.hpp"
#include "shunt/execute/host/stopwatch.hpp"
#include "shunt/execute/recovery/recovery_report.hpp"
#include "shunt/execute/recovery/survivors.hpp"
#include "shunt/program/interrupted.hpp"
#include "shunt/program/program.hpp"
#include "shunt/program/timeline.hpp"

namespace shunt::detail {

/// Runs the sessions of `run_through_losses`.
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
    add_dead(report_.dead, config.dead);
    tried_.assign(config.joins.size(), false);
  }

  recovery_report operator()() && {
    while (report_.end < config_.end && report_.stopped.empty()) {
      bring_back();
      if (!current_) replan();
      if (current_) prepare();
      if (current_) run_until(next_stop());
    }
    if (report_.stopped.empty() && config_.close) close();
    return std::move(report_);
  }

 private:
  /// Returns the next iteration before which a rank joins or all pause, or the end.
  [[nodiscard]] std::int64_t next_stop() const {
    auto stop = config_.end;
    for (join const& j : config_.joins)
      if (j.iteration > report_.end) stop = std::min(stop, j.iteration);
    if (config_.pause_before)
      stop = std::min(stop, std::max(report_.end + 1, config_.pause_before(report_.end)));
    return stop;
  }

  /// Lets ranks join before this iteration.
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
      } else {
        // The transfer changed no other rank's state: another peer may send it.
        tried_[n] = std::binary_search(result.lost.begin(), result.lost.end(), j.rank);
        if (!tried_[n]) --n;
      }
    }
  }

  /// Runs what comes before the next session, under another plan after each loss in it.
  void prepare() {
    while (current_ && config_.transition) {
      auto p = config_.transition(std::span<rank_id const>(report_.dead));
      if (!p) return;
      if (auto const result = run_alone(std::move(*p), transfer_iteration); ended_whole(result)) {
        if (config_.arrived) config_.arrived(*alone_, result);
      } else {
        replan();
        redoing_ = current_ != nullptr;
      }
    }
  }

  void close() {
    while (auto p = config_.close(std::span<rank_id const>(report_.dead)))
      if (ended_whole(run_alone(std::move(*p), config_.end))) return;
    stop_without_plan();
  }

  /// Runs a program in a session of its own and reports its losses.
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
    add_dead(report_.dead, result.lost);
    return result;
  }
  /// Returns whether the last program that ran alone lost no rank and was completed by all ranks
  /// that take part.
  [[nodiscard]] bool ended_whole(outcome const& result) const {
    for (rank_id const r : ids<rank_id>(result.done.size()))
      if (!alone_->ranks[r].instructions.empty() && result.done[r].programs == 0) return false;
    return result.lost.empty();
  }

  /// A session ended early without a loss: processes lost their connections. This may happen a few
  /// times in a row.
  /// Throws invalid_program where it may not, or has happened too often.
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
    auto const ahead = config_.plan_serves ? recovery::lookahead : stop - first;
    auto submitted = first;
    bool serves = true;
    auto const completes = [&](std::int32_t n) {
      for (; submitted < std::min(stop, report_.end + ahead); ++submitted)
        session.submit(program_of(submitted - first));
      return session.wait_until(n);
    };
    ticks before = 0;
    for (std::int32_t n = 1; report_.end < stop && completes(n); ++n) {
      ticks const now = session.completed_at(n);
      if (n == 1 && redoing_) report_.losses.back().redo = since_redo.now();
      redoing_ = false;
      broken_ = 0;
      announce(report_.dead, now, n > 1 ? std::optional(now - before) : std::nullopt);
      before = now;
      if (submitted < stop && !config_.plan_serves(report_.end)) serves = false, stop = submitted;
    }
    redoing_ = false;
    outcome const& result = report_.sessions.back().result = session.wait();
    if (result.lost.empty() && report_.end >= stop) {
      if (config_.pause_before || !serves) current_.reset();
      return;
    }
    if (result.lost.empty()) not_for_ever();
    loss l{.ranks = result.lost};
    note_times(l, session, result, since_open.now());
    recover(stop, std::move(l));
  }
  /// Returns the n-th program of the latest session.
  [[nodiscard]] std::shared_ptr<program const> const& program_of(std::int64_t n) const {
    auto const& last = report_.sessions.back();
    return n == 0 && last.rest ? last.rest : last.plan;
  }

  /// Writes the times to notice and to agree: the session's where it has them, else the time since
  /// the last instruction of the lost ranks. `elapsed` is the time since the session was opened.
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

  /// Recovers after a session that was to run until `stop`.
  void recover(std::int64_t stop, loss l) {
    stopwatch const clock;
    outcome const& result = report_.sessions.back().result;
    auto const first = report_.sessions.back().first;
    auto const dead_before = report_.dead;
    add_dead(report_.dead, result.lost);
    l.agree += clock.now();

    auto const back_to = fewest_programs(result, report_.dead, *current_);
    while (report_.end < first + back_to)
      announce(dead_before, last_end(result, report_.end - first), std::nullopt);
    l.iteration = report_.end;
    std::vector<rank_id> stepped;
    std::map<std::int32_t, indexed<rank_id, std::vector<bool>>> ran;  // by program, at most two
    for (rank_id const r : survivors(result, report_.dead)) {
      auto const& done = result.done[r];
      auto const now = program_of(done.programs);
      if (!ran.contains(done.programs))
        ran[done.programs] = what_ran(result, report_.dead, *now, done.programs);
      auto const steps = steps_to_undo(*now, r, ran[done.programs][r], done, back_to);
      if (steps > 1)
        throw invalid_program("rank " + std::to_string(r.value()) + " would have to undo " +
                              std::to_string(steps) + " steps to go back to iteration " +
                              std::to_string(l.iteration) +
                              ": nothing in the program ties it to the slowest rank");
      if (steps > 0) stepped.push_back(r);
    }
    l.steps_undone = static_cast<std::int32_t>(stepped.size());
    for (event const& e : result.timeline.events)
      l.instructions_lost += e.iteration >= back_to &&
                             !std::binary_search(report_.dead.begin(), report_.dead.end(), e.rank);

    if (report_.end < config_.end) {
      auto const agreed = clock.now();
      for (rank_id const r : stepped) work_.restore(r, report_.end);
      l.restore = clock.now() - agreed;
      replan();
      if (current_ && config_.salvage && report_.end < stop) salvage_what_ran(back_to, l);
      l.replan = clock.now() - agreed - l.restore;
      redoing_ = current_ != nullptr;
    }
    report_.losses.push_back(std::move(l));
  }

  /// Asks for the rest of the n-th program of the session.
  void salvage_what_ran(std::int32_t n, loss& l) {
    auto const now = program_of(n), next = program_of(n + 1);
    auto const ran = [&](program const& p, std::int32_t k) {
      return what_ran(report_.sessions.back().result, report_.dead, p, k);
    };
    bool const rest = now == report_.sessions.back().rest;
    auto left =
        config_.salvage(std::span<rank_id const>(report_.dead),
                        interrupted_iteration{*now, *next, rest, ran(*now, n), ran(*next, n + 1)});
    if (!left) return;
    rest_ = std::make_shared<program const>(std::move(left->rest));
    l.kept = left->kept;
    l.total = left->total;
  }

  Executor const& executor_;
  Work& work_;
  recovery const& config_;
  Plan& plan_;
  Completed& completed_;
  Transfer& transfer_;
  recovery_report report_{};
  std::vector<bool> tried_{};  // by join: whether it was tried
  std::shared_ptr<program const> current_{};
  std::shared_ptr<program const> rest_{};   // of the next iteration, if it was interrupted
  std::shared_ptr<program const> alone_{};  // the latest that had a session of its own
  bool redoing_ = false;
  int broken_ = 0;  // sessions that ended early without a loss, since the latest progress
};

}  // namespace shunt::detail
