#pragma once
#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
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
  /// Throws invalid_program unless it has as many ranks as the first, and where ranks would wait
  /// forever; logic_error after `wait`.
  void submit(std::shared_ptr<program const> p);
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
  [[nodiscard]] outcome wait();

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
  void advance();

  /// Ends the session: no rank can go on, or all were told to stop.
  /// Throws invalid_program where no rank has failed: a deadlock.
  void stop();

  /// Lets a rank take its next action.
  /// Returns the next entry of the same lane, if it is known.
  std::optional<entry> take(entry const& e);

  void begin_list(rank_id r, ticks now);

  void end_list(rank_id r, ticks now);

  std::optional<entry> start(entry const& e, instance& run);

  [[nodiscard]] bool allows(rank_program const& own, rank_id r, instruction const& i) const {
    if constexpr (real) return effects_.allows(own, r, i);
    return i.condition < 0 || config_.conditions;
  }

  std::optional<entry> send(entry const& e, instance& run, rank_program const& own,
                            instruction const& what, std::int32_t partner);

  std::optional<entry> receive(rank_id r, std::int32_t number, ticks end, instance& run);

  /// Performs a collective whose members have all arrived, `self` last.
  /// Returns the next entry of `self`, if it is known.
  std::optional<entry> run_collective(rank_id self, instance& run,
                                      dependencies::collective_match const& m);

  std::optional<entry> finish(rank_id r, std::int32_t number, ticks end, instance& run);

  /// A rank waits for a failed one since `since`. It gives up after the timeout, and all stop.
  void give_up_on(rank_id silent, ticks since) {
    stop_at_ =
        std::min(stop_at_, std::max(since, ranks_[silent.index()].silent_at + config_.timeout));
  }

  [[nodiscard]] std::vector<rank_id> missing_in(instance const& run,
                                                dependencies::collective_match const& m) const {
    return any_silent_ ? run.missing_members(m) : std::vector<rank_id>{};
  }

  void mark_failed(rank_id r, ticks now);

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

#include "shunt/simulate/simulated_executor.ipp"
