#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "shunt/core/error.hpp"
#include "shunt/execute/executor.hpp"
#include "shunt/execute/host/failures.hpp"
#include "shunt/execute/host/in_process_ranks.hpp"
#include "shunt/execute/host/run_log.hpp"
#include "shunt/execute/host/stopwatch.hpp"
#include "shunt/program/dependencies.hpp"

namespace shunt {

template <work Work>
class inline_session;

/// The reference: all ranks on the calling thread, program after program, in the order of
/// `serial_order`. Nothing runs before the session is waited for. Where ranks fall silent all
/// others go on as far as their dependencies let them, so that `done` is the most that any executor
/// can reach. The clock is the steady one, in nanoseconds; an instruction starts when the one
/// before it ended, whichever rank's that was.
struct inline_executor {
  std::vector<failure_point> failures{};

  template <work Work>
  [[nodiscard]] inline_session<Work> open(Work& w, std::int64_t first_iteration = 0) const {
    return inline_session<Work>(*this, w, first_iteration);
  }
  template <work Work>
  outcome run(program const& p, Work& w) const {
    return run_once(*this, p, w);
  }
};

/// Iterations on the calling thread.
template <work Work>
class inline_session {
 public:
  inline_session(inline_executor const& config, Work& w, std::int64_t first_iteration)
      : failures_(config.failures), ranks_(w), first_iteration_(first_iteration) {}

  /// Appends a program. Throws invalid_program where it has another number of ranks than the first,
  /// logic_error after `wait`.
  void submit(std::shared_ptr<program const> p) {
    if (closed_) throw std::logic_error("submit: the session was waited for and is over");
    require_equal_ranks(programs_.empty() ? *p : *programs_.front(), *p);
    programs_.push_back(std::move(p));
  }
  void submit(program p) { submit(std::make_shared<program const>(std::move(p))); }

  /// Runs what isn't run yet of the first `programs` programs; false where a rank was lost or
  /// failed before all ranks had completed them. Throws logic_error where fewer were submitted.
  [[nodiscard]] bool wait_until(std::int32_t programs) {
    if (programs > static_cast<std::int32_t>(programs_.size()))
      throw std::logic_error("wait_until: that many were not submitted");
    try {
      while (ran_ < programs && !failure_) run_next();
    } catch (...) {
      failure_ = std::current_exception();
      closed_ = true;
    }
    return static_cast<std::int32_t>(completions_.size()) >= programs;
  }

  /// When all ranks had completed the n-th program (from 1), on the timeline's clock. For n up to
  /// what wait_until has seen.
  [[nodiscard]] ticks completed_at(std::int32_t n) const {
    return completions_.at(static_cast<std::size_t>(n - 1));
  }

  /// Runs the rest and ends the session. Rethrows what the work threw, and throws invalid_program
  /// where a program can't be run to its end.
  [[nodiscard]] outcome wait() {
    closed_ = true;
    (void)wait_until(static_cast<std::int32_t>(programs_.size()));
    if (failure_) std::rethrow_exception(failure_);
    outcome all;
    all.timeline.seconds_per_tick = stopwatch::seconds_per_tick;
    std::size_t events = 0;
    for (auto const& s : states_) events += s.log.size();
    all.timeline.events.reserve(events);
    for (rank_id const r : ids<rank_id>(states_.size())) {
      auto const& s = states_[r.index()];
      s.log.append_to(all.timeline.events, r, programs_);
      all.done.push_back(s.log.done());
      if (s.silent) all.lost.push_back(r);
    }
    return all;
  }

 private:
  struct rank_state {
    run_log log{};
    std::int32_t fails_before =
        -1;  // instruction of the current program before which it falls silent
    bool silent = false;
    bool stuck = false;  // waits for a silent rank, or for one that is stuck itself
    [[nodiscard]] bool runs() const { return !silent && !stuck; }
  };

  void run_next() {
    auto const& p = *programs_[static_cast<std::size_t>(ran_)];
    prepare(p);
    now_ = clock_.now();
    for (std::size_t k = 0; k < order_.size();) {
      auto const& own = p.ranks[order_[k].rank];
      auto const& what = own.instructions[static_cast<std::size_t>(order_[k].instruction)];
      if (is_collective(what.code)) {
        k += run_collective(p,
                            d_.collectives[static_cast<std::size_t>(
                                d_.partner[static_cast<std::size_t>(d_.number(order_[k]))])],
                            k);
      } else {
        single(own, what, order_[k]);
        ++k;
      }
    }
    ++ran_;
    bool all = true;
    for (rank_id const r : ids<rank_id>(states_.size())) {
      auto& s = states_[r.index()];
      if (starts(s)) s.log.list_ended();
      all = all && s.log.done().programs == ran_;
    }
    if (all) completions_.push_back(now_);
  }

  void prepare(program const& p) {
    if (bound_ != &p) {
      d_ = find_dependencies(p);
      order_ = serial_order(p, d_);
      if (order_.size() < p.instructions()) throw_deadlock(p, order_);
      bound_ = &p;
    }
    messages_.assign(d_.partner.size(),
                     {});  // what a silent rank never took belongs to no other program
    states_.resize(p.ranks.size());
    for (rank_id const r : ids<rank_id>(states_.size())) {
      auto& s = states_[r.index()];
      if (!s.runs()) continue;
      ranks_.bind(p, r);
      s.fails_before = failure_of(failures_, p, r, first_iteration_ + ran_).value_or(-1);
      s.log.expect(p.ranks[r].instructions.size());
    }
  }

  /// True where the rank is able to start its next instruction, or to end its list.
  [[nodiscard]] bool starts(rank_state& s) const {
    if (s.runs() && s.fails_before == s.log.done().instructions) s.silent = true;
    return s.runs();
  }

  void single(rank_program const& own, instruction const& what, program_point at) {
    auto& s = states_[at.rank.index()];
    if (!starts(s)) return;
    if (!ranks_.allows(own, at.rank, what)) {
      s.log.instruction_left_out();
      return;
    }
    auto const partner =
        static_cast<std::size_t>(d_.partner[static_cast<std::size_t>(d_.number(at))]);
    if (what.code == opcode::send) {
      messages_[partner] = ranks_.send(own, at.rank, what);
    } else if (what.code == opcode::receive) {
      auto& message = messages_[static_cast<std::size_t>(d_.number(at))];
      if (message.empty()) {
        if (std::none_of(states_.begin(), states_.end(), [](auto const& x) { return x.silent; }))
          left_out(at, "send");
        s.stuck = true;
        return;
      }
      ranks_.receive(own, at.rank, what, std::move(message));
    } else {
      ranks_.local(own, at.rank, what, first_iteration_ + ran_);
    }
    auto const start = now_;
    now_ = clock_.now();
    s.log.instruction_ended(start, now_);
  }

  /// Returns the number of members.
  std::size_t run_collective(program const& p, dependencies::collective_match const& m,
                             std::size_t k) {
    auto const members = std::span(order_).subspan(k, static_cast<std::size_t>(m.members.count));
    bool const all = std::all_of(members.begin(), members.end(),
                                 [&](auto at) { return starts(states_[at.rank.index()]); });
    auto const allowed = [&](program_point at) {
      auto const& own = p.ranks[at.rank];
      return ranks_.allows(own, at.rank,
                           own.instructions[static_cast<std::size_t>(at.instruction)]);
    };
    if (all && !allowed(members[0])) {
      for (auto const at : members)
        if (allowed(at)) left_out(at, "other member");
      for (auto const at : members) states_[at.rank.index()].log.instruction_left_out();
      return members.size();
    }
    auto const start = now_;
    if (all) {
      for (auto const at : members)
        if (!allowed(at)) left_out(members[0], "other member");
      ranks_.run_collective(p, d_, m);
      now_ = clock_.now();
    }
    for (auto const at : members) {
      auto& s = states_[at.rank.index()];
      if (all)
        s.log.instruction_ended(start, now_);
      else if (starts(s))
        s.stuck = true;
    }
    return members.size();
  }

  /// Conditions that should agree don't.
  [[noreturn]] static void left_out(program_point at, std::string const& whose) {
    throw invalid_program("rank " + std::to_string(at.rank.value()) + ", instruction " +
                          std::to_string(at.instruction) + ": its condition lets it run and its " +
                          whose + "'s doesn't");
  }

  std::vector<failure_point> failures_;
  in_process_ranks<Work> ranks_;
  std::int64_t first_iteration_;
  stopwatch clock_{};
  ticks now_ = 0;

  std::vector<std::shared_ptr<program const>> programs_{};
  std::int32_t ran_ = 0;
  bool closed_ = false;
  std::exception_ptr failure_{};
  std::vector<rank_state> states_{};
  std::vector<ticks> completions_{};

  program const* bound_ = nullptr;  // what the next three belong to
  dependencies d_{};
  std::vector<program_point> order_{};
  std::vector<typename in_process_ranks<Work>::message>
      messages_{};  // by number of the receive: a message under way
};

}  // namespace shunt
