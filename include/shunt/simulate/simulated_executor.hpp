#pragma once
#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "shunt/core/error.hpp"
#include "shunt/execute/executor.hpp"
#include "shunt/execute/host/failures.hpp"
#include "shunt/execute/host/in_process_ranks.hpp"
#include "shunt/program/dependencies.hpp"
#include "shunt/simulate/cost_model.hpp"
#include "shunt/simulate/lanes.hpp"
#include "shunt/simulate/no_work.hpp"

namespace shunt {

template <cost_model Cost, work Work>
class simulated_session;

/// A discrete-event executor with a virtual clock: the times come from a cost model, the results
/// from the work itself, which runs in the order of virtual time; with `no_work` there are only
/// times.
///
/// The lanes of a rank run side by side, each in list order, held together by `after`. A send holds
/// its lane and its link while the message occupies them; the message arrives a latency later. A
/// receive ends when the message is there. A collective ends for all its members at once, its cost
/// after the last of them came. copy, add, fill and what its condition leaves out take no time. A
/// rank's next program begins when its list has ended. At equal times the lowest rank goes first.
///
/// O((n + e) log L) for n instructions, e entries in `after` and L lanes in all; without work,
/// faults and lanes that share a link times don't depend on the order of computing them, and it
/// takes O(n + e), rank after rank as far as each can go.
template <cost_model Cost>
struct simulated_executor {
  Cost cost;
  std::vector<failure_point> failures{};
  ticks timeout = 0;  ///< silence of a rank after which those who wait for it give it up as lost,
                      ///< and all others stop at once
  bool conditions =
      false;  ///< whether instructions that have a condition run; with a work its memory says so

  template <work Work>
  [[nodiscard]] simulated_session<Cost, Work> open(Work& w,
                                                   std::int64_t first_iteration = 0) const {
    return simulated_session<Cost, Work>(*this, w, first_iteration);
  }
  template <work Work>
  outcome run(program const& p, Work& w) const {
    return run_once(*this, p, w);
  }
  [[nodiscard]] outcome run(program const& p) const {
    no_work none;
    return run(p, none);
  }
};

/// Iterations in virtual time. Nothing runs before the session is waited for.
template <cost_model Cost, work Work>
class simulated_session {
 public:
  simulated_session(simulated_executor<Cost> const& config, Work& w, std::int64_t first_iteration)
      : config_(config), first_iteration_(first_iteration), effects_(w) {}

  /// Appends a program. Throws invalid_program where it has another number of ranks than the first,
  /// logic_error after `wait`.
  void submit(std::shared_ptr<program const> p) {
    if (closed_) throw std::logic_error("submit: the session was waited for and is over");
    require_equal_ranks(runs_.empty() ? *p : *runs_.front().made_of->what, *p);
    auto const n = static_cast<std::int32_t>(runs_.size());
    auto const known = std::find_if(runs_.begin(), runs_.end(),
                                    [&](auto const& r) { return r.made_of->what == p; });
    runs_.push_back(
        {known != runs_.end() ? known->made_of : std::make_shared<prepared const>(std::move(p))});
    ranks_.resize(runs_.front().made_of->what->ranks.size());
    if (!by_time_ && runs_.back().made_of->order.share_links()) {
      by_time_ = true;
      std::make_heap(able_.begin(), able_.end(), later);
    }
    for (rank_id const r : ids<rank_id>(ranks_.size()))
      if (auto const& s = ranks_[r.index()]; s.programs == n && !s.silent)
        push({s.free_at, r, entry::begin_of_list});
  }
  void submit(program p) { submit(std::make_shared<program const>(std::move(p))); }

  /// Runs until all ranks have completed the first `programs` programs; false where a rank was lost
  /// or failed before that. Throws logic_error where fewer were submitted.
  [[nodiscard]] bool wait_until(std::int32_t programs) {
    if (programs > static_cast<std::int32_t>(runs_.size()))
      throw std::logic_error("wait_until: that many were not submitted");
    try {
      while (complete_ < programs && !over_) advance();
    } catch (...) {
      failure_ = std::current_exception();
      over_ = closed_ = true;
    }
    return complete_ >= programs;
  }

  /// When all ranks had completed the n-th program (from 1), in ticks. For n up to what wait_until
  /// has seen.
  [[nodiscard]] ticks completed_at(std::int32_t n) const {
    return runs_.at(static_cast<std::size_t>(n - 1)).ended_at;
  }

  /// Runs the rest and ends the session. Rethrows what the work threw, and throws invalid_program
  /// where a program can't be run to its end.
  [[nodiscard]] outcome wait() {
    closed_ = true;
    (void)wait_until(static_cast<std::int32_t>(runs_.size()));
    if (failure_) std::rethrow_exception(failure_);
    outcome all;
    std::size_t events = 0;
    for (auto const& run : runs_) events += run.start.size();
    all.timeline.events.reserve(events);
    for (rank_id const r : ids<rank_id>(ranks_.size())) {
      all.done.push_back(report(r, all.timeline.events));
      if (ranks_[r.index()].silent) all.lost.push_back(r);
    }
    return all;
  }

 private:
  static constexpr ticks not_yet = -1;
  static constexpr ticks left_out = -2;  // in place of the end of what its condition left out
  static constexpr bool real = !std::same_as<Work, no_work>;

  /// A program made ready once, however often it is submitted.
  struct prepared {
    explicit prepared(std::shared_ptr<program const> p)
        : what(std::move(p)), d(find_dependencies(*what)), order(*what) {}
    std::shared_ptr<program const> what;
    dependencies d;
    lanes order;
  };

  /// One submission. The tables are made when its first rank begins.
  struct instance {
    std::shared_ptr<prepared const> made_of{};
    std::vector<ticks> start{},
        end{};  // by number; the end of a receive that hasn't started is the arrival of its message
    std::vector<std::int32_t>
        waits{};  // by number: ends it still waits for; only where a rank has several lanes
    std::vector<ticks> ready{};           // by number: the latest of those ends; likewise
    std::vector<std::int32_t> missing{};  // members that haven't come to each meeting
    std::vector<typename in_process_ranks<Work>::message> messages{};  // by number of the receive
    std::int32_t ranks_done = 0;
    ticks ended_at = 0;
    bool begun = false;

    void begin() {
      begun = true;
      auto const n = made_of->d.partner.size();
      start.assign(n, not_yet);
      end.assign(n, not_yet);
      waits = made_of->order.waits();
      ready.assign(waits.size(), 0);
      for (auto const& m : made_of->d.collectives) missing.push_back(m.members.count);
      if constexpr (real) messages.resize(n);
    }
  };

  struct rank_state {
    std::int32_t programs = 0;   // completed
    std::int32_t remaining = 0;  // instructions of the current one that haven't ended
    ticks free_at = 0;           // the latest end so far
    std::int32_t fails_before =
        -1;  // instruction of the current program before which it falls silent
    bool silent = false;
    ticks silent_at = 0;
  };

  /// A rank that is able to begin its list, to start an instruction, or (at the list's length) to
  /// end its list.
  struct entry {
    static constexpr std::int32_t begin_of_list = -1;
    ticks time = 0;
    rank_id rank{};
    std::int32_t instruction = begin_of_list;
    constexpr auto operator<=>(entry const&) const = default;
  };

  static constexpr auto later = [](entry const& a, entry const& b) {
    return b < a;
  };  // makes a heap with the earliest on top

  void push(entry const& e) {
    able_.push_back(e);
    if (by_time_) std::push_heap(able_.begin(), able_.end(), later);
  }
  entry pop() {
    if (by_time_) std::pop_heap(able_.begin(), able_.end(), later);
    entry const e = able_.back();
    able_.pop_back();
    return e;
  }

  [[nodiscard]] rank_program const& list_of(rank_id r) const {
    return runs_[static_cast<std::size_t>(ranks_[r.index()].programs)].made_of->what->ranks[r];
  }
  [[nodiscard]] std::int32_t length(rank_id r) const {
    return static_cast<std::int32_t>(list_of(r).instructions.size());
  }

  /// Takes the next entry and goes on with what follows it, by time as long as that is the next
  /// one, too.
  void advance() {
    if (able_.empty() || able_.front().time >= stop_at_) return stop();
    for (std::optional<entry> e = pop(); e;) {
      e = take(*e);
      if (e && by_time_ && (e->time >= stop_at_ || (!able_.empty() && able_.front() < *e))) {
        push(*e);
        break;
      }
    }
  }

  /// Nobody is able to go on, or all were told to stop.
  void stop() {
    for (auto const& e : able_) {  // lists that end at this very moment have ended
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

  /// What a rank does next; returns what follows on the same lane, if that is known.
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
    if (!run.begun) run.begin();
    if constexpr (real) effects_.bind(p, r);
    s.free_at = now;
    s.remaining = length(r);
    s.fails_before = failure_of(config_.failures, p, r, first_iteration_ + s.programs).value_or(-1);
    if (!run.made_of->order.several(r)) return push({now, r, 0});
    auto const first = run.made_of->d.first[r.index()];
    for (std::int32_t i = 0; i < s.remaining; ++i)
      if (run.waits[static_cast<std::size_t>(first + i)] == 0) push({now, r, i});
  }

  void end_list(rank_id r, ticks now) {
    auto& s = ranks_[r.index()];
    auto& run = runs_[static_cast<std::size_t>(s.programs++)];
    run.ended_at = std::max(run.ended_at, now);
    if (++run.ranks_done < static_cast<std::int32_t>(ranks_.size())) return;
    run.messages.clear();
    ++complete_;
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
      run.end[static_cast<std::size_t>(number)] = left_out;
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
    return finish(r, number,
                  e.time + (what.code == opcode::compute ? config_.cost.compute(r, what.op) : 0),
                  run);
  }

  [[nodiscard]] bool allows(rank_program const& own, rank_id r, instruction const& i) const {
    if constexpr (real) return effects_.allows(own, r, i);
    return i.condition < 0 || config_.conditions;
  }

  std::optional<entry> send(entry const& e, instance& run, rank_program const& own,
                            instruction const& what, std::int32_t partner) {
    transfer_time const takes = config_.cost.transfer(e.rank, what.peer, own.reads(what)[0].size);
    ticks begin = e.time;
    if (takes.occupancy > 0 &&
        run.made_of->order.several(e.rank)) {  // one lane can't hold its links up
      auto& free_at = links_[{e.rank, what.peer}];
      begin = std::max(begin, free_at);
      free_at = begin + takes.occupancy;
    }
    ticks const end = begin + takes.occupancy, arrival = end + takes.latency;
    if (partner != dependencies::none) {
      auto const to = static_cast<std::size_t>(partner);
      if constexpr (real) run.messages[to] = effects_.send(own, e.rank, what);
      if (run.start[to] == not_yet)
        run.end[to] = arrival;
      else if (!ranks_[what.peer.index()].silent)
        if (auto const next = receive(what.peer, partner, std::max(run.start[to], arrival), run))
          push(*next);
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

  /// All members have come; the last of them is `self`.
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
        push(*next);
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
      if (--run.waits[n] == 0) push({run.ready[n], r, next - first});
    }
    return {};
  }

  /// Whoever waits for a silent rank since `since` gives up when the time is over, and all stop.
  void give_up_on(rank_id silent, ticks since) {
    stop_at_ =
        std::min(stop_at_, std::max(since, ranks_[silent.index()].silent_at + config_.timeout));
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

  [[nodiscard]] std::vector<rank_id> missing_in(instance const& run,
                                                dependencies::collective_match const& m) const {
    std::vector<rank_id> missing;
    if (!any_silent_) return missing;
    auto const& group = run.made_of->what->groups[m.group];
    auto const numbers = run.made_of->d.members_of(m);
    for (std::size_t k = 0; k < group.size(); ++k)
      if (numbers[k] == dependencies::none ||
          run.start[static_cast<std::size_t>(numbers[k])] == not_yet)
        missing.push_back(group[k]);
    return missing;
  }

  /// Appends a rank's events and says how far it came. What still waited when all stopped has not
  /// happened.
  progress report(rank_id r, std::vector<event>& events) const {
    auto const& s = ranks_[r.index()];
    ticks const limit = s.silent ? std::min(s.silent_at, stop_at_) : stop_at_;
    progress done{s.programs, 0};
    for (std::int32_t n = 0; n <= s.programs && n < static_cast<std::int32_t>(runs_.size()); ++n) {
      auto const& run = runs_[static_cast<std::size_t>(n)];
      if (!run.begun) break;
      auto const& list = run.made_of->what->ranks[r].instructions;
      auto const begin = static_cast<std::ptrdiff_t>(events.size());
      for (std::int32_t i = 0; i < static_cast<std::int32_t>(list.size()); ++i) {
        auto const& what = list[static_cast<std::size_t>(i)];
        auto const number = static_cast<std::size_t>(run.made_of->d.number({r, i}));
        if (run.end[number] == left_out) {
          if (n == s.programs && i == done.instructions && run.start[number] <= limit)
            ++done.instructions;
          continue;
        }
        bool const waits = what.code == opcode::receive || is_collective(what.code);
        if (run.start[number] == not_yet || run.end[number] == not_yet ||
            (waits && run.end[number] > limit))
          continue;
        events.push_back({r, n, i, what.code, what.op, run.start[number], run.end[number]});
        if (n == s.programs && i == done.instructions) ++done.instructions;
      }
      if (run.made_of->order.several(r))
        std::sort(events.begin() + begin, events.end(), [](event const& a, event const& b) {
          return std::pair(a.start, a.instruction) < std::pair(b.start, b.instruction);
        });
    }
    return done;
  }

  simulated_executor<Cost> config_;
  std::int64_t first_iteration_;
  in_process_ranks<Work> effects_;

  std::vector<instance> runs_{};
  std::vector<rank_state> ranks_{};
  std::vector<entry> able_{};  // a heap by time, or in no order
  bool by_time_ = real || !config_.failures.empty();
  std::map<std::pair<rank_id, rank_id>, ticks> links_{};  // when each is free again
  std::int32_t complete_ = 0;
  ticks stop_at_ = std::numeric_limits<ticks>::max();
  bool any_silent_ = false;
  bool over_ = false;
  bool closed_ = false;
  std::exception_ptr failure_{};
};

}  // namespace shunt
