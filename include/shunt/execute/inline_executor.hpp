#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "shunt/core/error.hpp"
#include "shunt/execute/executor.hpp"
#include "shunt/execute/host/failures.hpp"
#include "shunt/execute/host/in_process_ranks.hpp"
#include "shunt/execute/host/run_log.hpp"
#include "shunt/execute/host/stopwatch.hpp"
#include "shunt/execute/host/submissions.hpp"
#include "shunt/program/dependencies.hpp"

namespace shunt {

template <work Work>
class inline_session;

/// The reference executor: all ranks on the calling thread, program after program, in the order of
/// `serial_order`. Nothing runs before the session is waited for. After a failure all other ranks
/// go on as far as their dependencies let them, so `done` is the most that any executor can reach.
/// The clock is the steady one, in nanoseconds. An instruction starts when the one before it ended,
/// on whichever rank that ran.
struct inline_executor {
  std::vector<failure_point> failures{};  ///< injected failures

  /// Returns a session whose first program is iteration `first_iteration`.
  template <work Work>
  [[nodiscard]] inline_session<Work> open(Work& w, std::int64_t first_iteration = 0) const {
    return inline_session<Work>(*this, w, first_iteration);
  }
  /// Runs one program in a session of its own.
  /// Throws as the session does.
  template <work Work>
  outcome run(program const& p, Work& w) const {
    return run_once(*this, p, w);
  }
};

/// Iterations on the calling thread. All calls must come from one thread.
template <work Work>
class inline_session {
 public:
  inline_session(inline_executor const& config, Work& w, std::int64_t first_iteration)
      : failures_(config.failures), ranks_(w), first_iteration_(first_iteration) {}

  /// Appends a program.
  /// Throws invalid_program unless it has as many ranks as the first; logic_error after `wait`.
  void submit(std::shared_ptr<program const> p) { submitted_.append(std::move(p)); }
  void submit(program p) { submit(std::make_shared<program const>(std::move(p))); }

  /// Runs the first `programs` programs as far as they have not run yet.
  /// Returns false where a rank was lost or failed before all ranks had completed them.
  /// Throws logic_error where fewer were submitted.
  [[nodiscard]] bool wait_until(std::int32_t programs) {
    submitted_.require_submitted(programs);
    submitted_.guarded([&] {
      while (ran_ < programs) run_next();
    });
    return submitted_.complete() >= programs;
  }

  /// Returns when all ranks had completed the n-th program (from 1), on the timeline's clock.
  /// Requires that `wait_until` has returned true for n or more.
  [[nodiscard]] ticks completed_at(std::int32_t n) const { return submitted_.completed_at(n); }

  /// Runs the rest and ends the session.
  /// Returns the outcome of all programs.
  /// Throws what the work threw; invalid_program where a program cannot be run to its end.
  [[nodiscard]] outcome wait() {
    submitted_.close();
    (void)wait_until(submitted_.size());
    submitted_.rethrow_failure();
    std::vector<detail::rank_result> results;
    for (auto const& s : states_) results.push_back({s.log, s.status.silent});
    return detail::collect(results, submitted_.programs(), detail::event_order::list);
  }

 private:
  struct rank_state {
    detail::run_log log{};
    detail::rank_status status{};
  };

  void run_next() {
    auto const& p = *submitted_[static_cast<std::size_t>(ran_)];
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
    if (all) submitted_.completed(now_);
  }

  void prepare(program const& p) {
    if (bound_ != &p) {
      d_ = find_dependencies(p);
      order_ = serial_order(p, d_);
      require_runnable(p, d_, order_);
      bound_ = &p;
    }
    // A message that a failed rank never received belongs to no other program.
    messages_.assign(d_.partner.size(), {});
    states_.resize(p.ranks.size());
    for (rank_id const r : ids<rank_id>(states_.size())) {
      auto& s = states_[r.index()];
      if (!s.status.runs()) continue;
      ranks_.bind(p, r);
      s.status.fails_before =
          detail::failure_of(failures_, p, r, first_iteration_ + ran_).value_or(-1);
      s.log.expect(p.ranks[r].instructions.size());
    }
  }

  /// Returns whether the rank can start its next instruction, or end its list.
  static bool starts(rank_state& s) { return s.status.starts(s.log.done().instructions); }

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
        if (std::none_of(states_.begin(), states_.end(),
                         [](auto const& x) { return x.status.silent; }))
          left_out(at, "send");
        s.status.stuck = true;
        return;
      }
      ranks_.receive(own, at.rank, what, std::move(message));
    } else {
      ranks_.local(own, at.rank, what, first_iteration_ + ran_, clock_.on_steady_clock(now_));
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
        s.status.stuck = true;
    }
    return members.size();
  }

  /// Throws invalid_program: two conditions that must agree differ.
  [[noreturn]] static void left_out(program_point at, std::string const& whose) {
    throw invalid_program("rank " + std::to_string(at.rank.value()) + ", instruction " +
                          std::to_string(at.instruction) + ": its condition lets it run and its " +
                          whose + "'s doesn't");
  }

  std::vector<failure_point> failures_;
  detail::in_process_ranks<Work> ranks_;
  std::int64_t first_iteration_;
  stopwatch clock_{};
  ticks now_ = 0;

  detail::submissions submitted_{};
  std::int32_t ran_ = 0;
  std::vector<rank_state> states_{};

  program const* bound_ = nullptr;  // the program of the next three
  dependencies d_{};
  std::vector<program_point> order_{};
  std::vector<typename detail::in_process_ranks<Work>::message>
      messages_{};  // in flight, by number of the receive
};

}  // namespace shunt
