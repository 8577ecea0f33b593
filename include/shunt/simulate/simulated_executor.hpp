#pragma once
#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "shunt/core/error.hpp"
#include "shunt/execute/executor.hpp"
#include "shunt/execute/host/failures.hpp"
#include "shunt/execute/host/in_process_ranks.hpp"
#include "shunt/execute/host/submissions.hpp"
#include "shunt/program/dependencies.hpp"
#include "shunt/simulate/cost_model.hpp"
#include "shunt/simulate/detail/event_queue.hpp"
#include "shunt/simulate/detail/lanes.hpp"
#include "shunt/simulate/detail/links.hpp"
#include "shunt/simulate/detail/virtual_run.hpp"

namespace shunt {

template <cost_model Cost, work Work>
class simulated_session;

/// A discrete-event executor with a virtual clock. Times come from a cost model. Results come from
/// the work, which runs in the order of virtual time; with `no_work` there are only times.
///
/// The lanes of a rank run side by side, each in list order, tied together by `after`. A send holds
/// its lane and its link during the message's occupancy; the message arrives a latency later. A
/// receive ends when its message has arrived. A collective ends for all members at once, its cost
/// after the arrival of the last one. copy, add, fill and instructions that their condition leaves
/// out take no time. A rank's next program begins when its list has ended. At equal times the
/// lowest rank goes first.
/// Complexity: O((n + e) log L) for n instructions, e entries in `after` and L lanes in all; O(n +
/// e) without work, failures and lanes that share a link, where times do not depend on the order in
/// which they are computed.
template <cost_model Cost>
struct simulated_executor {
  Cost cost;
  std::vector<failure_point> failures{};  ///< injected failures
  /// Ticks of silence of a rank after which ranks that wait for it take it for lost. Then all stop.
  ticks timeout = 0;
  /// Whether instructions with a condition run. With a work its memory decides.
  bool conditions = false;

  /// Returns a session whose first program is iteration `first_iteration`.
  template <work Work>
  [[nodiscard]] simulated_session<Cost, Work> open(Work& w,
                                                   std::int64_t first_iteration = 0) const {
    return simulated_session<Cost, Work>(*this, w, first_iteration);
  }
  /// Runs one program in a session of its own.
  /// Throws as the session does.
  template <work Work>
  outcome run(program const& p, Work& w) const {
    return run_once(*this, p, w);
  }
  /// Predicts the times of one program.
  /// Throws as the session does.
  [[nodiscard]] outcome run(program const& p) const {
    no_work none;
    return run(p, none);
  }
};

/// Iterations in virtual time. Nothing runs before the session is waited for. All calls must come
/// from one thread.
template <cost_model Cost, work Work>
class simulated_session {
 public:
  simulated_session(simulated_executor<Cost> const& config, Work& w, std::int64_t first_iteration)
      : config_(config), first_iteration_(first_iteration), effects_(w) {}

  /// Appends a program.
  /// Throws invalid_program unless it has as many ranks as the first; logic_error after `wait`.
  void submit(std::shared_ptr<program const> p) {
    auto const n = submitted_.size();
    submitted_.append(p, [&](program const& q) {
      submitted_.require_same_ranks(q);
      auto const known = std::find_if(runs_.begin(), runs_.end(),
                                      [&](auto const& r) { return r.made_of->what == p; });
      runs_.push_back({known != runs_.end() ? known->made_of
                                            : std::make_shared<detail::prepared_program const>(p)});
    });
    ranks_.resize(runs_.front().made_of->what->ranks.size());
    if (runs_.back().made_of->order.share_links()) able_.order_by_time();
    for (rank_id const r : ids<rank_id>(ranks_.size()))
      if (auto const& s = ranks_[r.index()]; s.programs == n && !s.silent)
        able_.push({s.free_at, r, entry::begin_of_list});
  }
  void submit(program p) { submit(std::make_shared<program const>(std::move(p))); }

  /// Runs until all ranks have completed the first `programs` programs.
  /// Returns false where a rank was lost or failed before that.
  /// Throws logic_error where fewer were submitted.
  [[nodiscard]] bool wait_until(std::int32_t programs) {
    submitted_.require_submitted(programs);
    submitted_.guarded([&] {
      while (submitted_.complete() < programs && !over_) advance();
    });
    return submitted_.complete() >= programs;
  }

  /// Returns when all ranks had completed the n-th program (from 1), in ticks.
  /// Requires that `wait_until` has returned true for n or more.
  [[nodiscard]] ticks completed_at(std::int32_t n) const { return submitted_.completed_at(n); }

  /// Runs the rest and ends the session.
  /// Returns the outcome of all programs.
  /// Throws what the work threw; invalid_program where a program cannot be run to its end.
  [[nodiscard]] outcome wait() {
    submitted_.close();
    (void)wait_until(submitted_.size());
    submitted_.rethrow_failure();
    outcome all;
    std::size_t events = 0;
    for (auto const& run : runs_) events += run.start.size();
    all.timeline.events.reserve(events);
    for (rank_id const r : ids<rank_id>(ranks_.size())) {
      auto const& s = ranks_[r.index()];
      all.done.push_back(detail::report(r, s, runs_, stop_at_, all.timeline.events));
      if (s.silent) all.lost.push_back(r);
    }
    return all;
  }

 private:
  static constexpr ticks not_yet = detail::virtual_run::not_yet;
  static constexpr bool real = !std::same_as<Work, no_work>;

  using instance = detail::virtual_run;
  using entry = detail::ready_rank;

  [[nodiscard]] rank_program const& list_of(rank_id r) const {
    return runs_[static_cast<std::size_t>(ranks_[r.index()].programs)].made_of->what->ranks[r];
  }
  [[nodiscard]] std::int32_t length(rank_id r) const {
    return static_cast<std::int32_t>(list_of(r).instructions.size());
  }

  /// Takes the next entry and goes on with its successors. Where entries go by time, only while the
  /// successor is the next entry, too.
  void advance() {
    if (able_.empty() || able_.front().time >= stop_at_) return stop();
    for (std::optional<entry> e = able_.pop(); e;) {
      e = take(*e);
      if (e && able_.by_time() && (e->time >= stop_at_ || (!able_.empty() && able_.front() < *e))) {
        able_.push(*e);
        break;
      }
    }
  }

  /// Ends the session: no rank can go on, or all were told to stop.
  /// Throws invalid_program where no rank has failed: a deadlock.
  void stop() {
    for (auto const& e : able_.all()) {  // lists that end at this very moment have ended
      auto const& s = ranks_[e.rank.index()];
      if (e.time != stop_at_ || s.silent || e.instruction != length(e.rank)) continue;
      if (e.instruction == s.fails_before)
        mark_failed(e.rank, e.time);
      else
        end_list(e.rank, e.time);
    }
    over_ = true;
    if (any_silent_) return;
    for (rank_id const r : ids<rank_id>(ranks_.size()))
      if (auto const n = ranks_[r.index()].programs; n < static_cast<std::int32_t>(runs_.size()))
        throw invalid_program("rank " + std::to_string(r.value()) +
                              " would wait forever in program " + std::to_string(n));
  }

  /// Lets a rank take its next action.
  /// Returns the next entry of the same lane, if it is known.
  std::optional<entry> take(entry const& e) {
    auto& s = ranks_[e.rank.index()];
    if (s.silent) return {};
    if (e.instruction == entry::begin_of_list) {
      begin_list(e.rank, e.time);
      return {};
    }
    if (e.instruction == s.fails_before) {
      mark_failed(e.rank, e.time);
      return {};
    }
    if (e.instruction < length(e.rank))
      return start(e, runs_[static_cast<std::size_t>(s.programs)]);
    end_list(e.rank, e.time);
    if (s.programs < static_cast<std::int32_t>(runs_.size())) begin_list(e.rank, e.time);
    return {};
  }

  void begin_list(rank_id r, ticks now) {
    auto& s = ranks_[r.index()];
    auto& run = runs_[static_cast<std::size_t>(s.programs)];
    program const& p = *run.made_of->what;
    if (!run.begun) run.begin(real);
    if constexpr (real) effects_.bind(p, r);
    s.free_at = now;
    s.remaining = length(r);
    s.fails_before =
        detail::failure_of(config_.failures, p, r, first_iteration_ + s.programs).value_or(-1);
    if (!run.made_of->order.several(r)) return able_.push({now, r, 0});
    auto const first = run.made_of->d.first[r.index()];
    for (std::int32_t i = 0; i < s.remaining; ++i)
      if (run.waits[static_cast<std::size_t>(first + i)] == 0) able_.push({now, r, i});
  }

  void end_list(rank_id r, ticks now) {
    auto& s = ranks_[r.index()];
    auto& run = runs_[static_cast<std::size_t>(s.programs++)];
    run.ended_at = std::max(run.ended_at, now);
    if (++run.ranks_done < static_cast<std::int32_t>(ranks_.size())) return;
    run.messages.clear();
    submitted_.completed(run.ended_at);
  }

  std::optional<entry> start(entry const& e, instance& run) {
    rank_id const r = e.rank;
    auto const& d = run.made_of->d;
    rank_program const& own = run.made_of->what->ranks[r];
    auto const& what = own.instructions[static_cast<std::size_t>(e.instruction)];
    auto const number = d.number({r, e.instruction});
    auto const partner = d.partner[static_cast<std::size_t>(number)];
    run.start[static_cast<std::size_t>(number)] = e.time;

    if (!allows(own, r, what)) {
      auto const next = finish(r, number, e.time, run);
      run.end[static_cast<std::size_t>(number)] = detail::virtual_run::left_out;
      return next;
    }
    if (what.code == opcode::send) return send(e, run, own, what, partner);
    if (what.code == opcode::receive) {
      auto const arrival = run.end[static_cast<std::size_t>(number)];
      if (arrival != not_yet) return receive(r, number, std::max(e.time, arrival), run);
      if (ranks_[what.peer.index()].silent) give_up_on(what.peer, e.time);
      return {};
    }
    if (is_collective(what.code)) {
      if (partner == dependencies::none) return {};
      auto const& m = d.collectives[static_cast<std::size_t>(partner)];
      if (--run.missing[static_cast<std::size_t>(partner)] == 0) return run_collective(r, run, m);
      for (auto const member : missing_in(run, m))
        if (ranks_[member.index()].silent) give_up_on(member, e.time);
      return {};
    }
    if constexpr (real) effects_.local(own, r, what, first_iteration_ + ranks_[r.index()].programs);
    ticks takes = 0;
    if (what.code == opcode::compute) takes = config_.cost.compute(r, what.op);
    return finish(r, number, e.time + takes, run);
  }

  [[nodiscard]] bool allows(rank_program const& own, rank_id r, instruction const& i) const {
    if constexpr (real) return effects_.allows(own, r, i);
    return i.condition < 0 || config_.conditions;
  }

  std::optional<entry> send(entry const& e, instance& run, rank_program const& own,
                            instruction const& what, std::int32_t partner) {
    transfer_time const takes = config_.cost.transfer(e.rank, what.peer, own.reads(what)[0].size);
    // A single lane already serialises its sends, so its links are never contended.
    bool const contended = takes.occupancy > 0 && run.made_of->order.several(e.rank);
    ticks const begin =
        contended ? links_.occupy(e.rank, what.peer, e.time, takes.occupancy) : e.time;
    ticks const end = begin + takes.occupancy, arrival = end + takes.latency;
    if (partner != dependencies::none) {
      auto const to = static_cast<std::size_t>(partner);
      if constexpr (real) run.messages[to] = effects_.send(own, e.rank, what);
      if (run.start[to] == not_yet)
        run.end[to] = arrival;
      else if (!ranks_[what.peer.index()].silent)
        if (auto const next = receive(what.peer, partner, std::max(run.start[to], arrival), run))
          able_.push(*next);
    }
    return finish(e.rank, run.made_of->d.number({e.rank, e.instruction}), end, run);
  }

  std::optional<entry> receive(rank_id r, std::int32_t number, ticks end, instance& run) {
    if constexpr (real) {
      rank_program const& own = run.made_of->what->ranks[r];
      auto const& what =
          own.instructions[static_cast<std::size_t>(number - run.made_of->d.first[r.index()])];
      effects_.receive(own, r, what, std::move(run.messages[static_cast<std::size_t>(number)]));
    }
    return finish(r, number, end, run);
  }

  /// Performs a collective whose members have all arrived, `self` last.
  /// Returns the next entry of `self`, if it is known.
  std::optional<entry> run_collective(rank_id self, instance& run,
                                      dependencies::collective_match const& m) {
    program const& p = *run.made_of->what;
    auto const& d = run.made_of->d;
    auto const& group = p.groups[m.group];
    auto const numbers = d.members_of(m);
    ticks end = 0;
    for (auto const n : numbers) end = std::max(end, run.start[static_cast<std::size_t>(n)]);
    if constexpr (collective_cost_model<Cost>) {
      auto const& own = p.ranks[group[0]];
      auto const& what =
          own.instructions[static_cast<std::size_t>(numbers[0] - d.first[group[0].index()])];
      end += config_.cost.collective(what.code, group, own.reads(what)[0].size);
    }
    if constexpr (real) effects_.run_collective(p, d, m);
    std::optional<entry> mine;
    for (std::size_t k = 0; k < group.size(); ++k) {
      auto const next = finish(group[k], numbers[k], end, run);
      if (group[k] == self)
        mine = next;
      else if (next)
        able_.push(*next);
    }
    return mine;
  }

  std::optional<entry> finish(rank_id r, std::int32_t number, ticks end, instance& run) {
    auto& s = ranks_[r.index()];
    auto const first = run.made_of->d.first[r.index()];
    run.end[static_cast<std::size_t>(number)] = end;
    s.free_at = std::max(s.free_at, end);
    if (--s.remaining == 0) return entry{s.free_at, r, length(r)};
    if (!run.made_of->order.several(r)) return entry{end, r, number - first + 1};
    for (auto const next : run.made_of->order.next(number)) {
      auto const n = static_cast<std::size_t>(next);
      run.ready[n] = std::max(run.ready[n], end);
      if (--run.waits[n] == 0) able_.push({run.ready[n], r, next - first});
    }
    return {};
  }

  /// A rank waits for a failed one since `since`. It gives up after the timeout, and all stop.
  void give_up_on(rank_id silent, ticks since) {
    stop_at_ =
        std::min(stop_at_, std::max(since, ranks_[silent.index()].silent_at + config_.timeout));
  }

  [[nodiscard]] std::vector<rank_id> missing_in(instance const& run,
                                                dependencies::collective_match const& m) const {
    return any_silent_ ? run.missing_members(m) : std::vector<rank_id>{};
  }

  void mark_failed(rank_id r, ticks now) {
    ranks_[r.index()].silent = any_silent_ = true;
    ranks_[r.index()].silent_at = now;
    for (rank_id const other : ids<rank_id>(ranks_.size())) {
      auto const& s = ranks_[other.index()];
      if (s.silent || s.programs == static_cast<std::int32_t>(runs_.size())) continue;
      auto const& run = runs_[static_cast<std::size_t>(s.programs)];
      if (!run.begun) continue;
      auto const& d = run.made_of->d;
      for (std::int32_t i = 0; i < length(other); ++i) {
        auto const& what = list_of(other).instructions[static_cast<std::size_t>(i)];
        auto const n = static_cast<std::size_t>(d.number({other, i}));
        if (run.start[n] == not_yet || run.end[n] != not_yet) continue;
        if (what.code == opcode::receive && what.peer == r) give_up_on(r, run.start[n]);
        if (is_collective(what.code) && d.partner[n] != dependencies::none)
          for (auto const member :
               missing_in(run, d.collectives[static_cast<std::size_t>(d.partner[n])]))
            if (member == r) give_up_on(r, run.start[n]);
      }
    }
  }

  simulated_executor<Cost> config_;
  std::int64_t first_iteration_;
  detail::in_process_ranks<Work> effects_;

  std::vector<instance> runs_{};
  std::vector<detail::virtual_rank> ranks_{};
  detail::submissions submitted_{};
  detail::event_queue able_{real || !config_.failures.empty()};
  detail::links links_{};
  ticks stop_at_ = std::numeric_limits<ticks>::max();
  bool any_silent_ = false;
  bool over_ = false;
};

}  // namespace shunt
