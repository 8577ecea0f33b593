#pragma once
/// An executor whose ranks are processes over Gloo.
///
/// Every process makes one for its own rank, then opens the same sessions, submits the same
/// programs and waits. A session is an epoch. At its end the members agree on the survivors and on
/// the progress of each, so all processes have the same `outcome::lost` and `outcome::done` and
/// take the same decisions, in `run_through_losses` for example. The timeline has the events of
/// this process. A member that does not come within `patience` is lost; no wait hangs. See
/// docs/engines.md.
#include <algorithm>
#include <csignal>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "shunt/core/error.hpp"
#include "shunt/execute/executor.hpp"
#include "shunt/execute/host/failures.hpp"
#include "shunt/execute/host/rank_interpreter.hpp"
#include "shunt/execute/host/stopwatch.hpp"
#include "shunt/execute/host/submissions.hpp"
#include "shunt/gloo/detail/epoch.hpp"
#include "shunt/gloo/detail/host_platform.hpp"
#include "shunt/gloo/join_request.hpp"
#include "shunt/gloo/membership.hpp"
#include "shunt/gloo/mesh.hpp"
#include "shunt/program/dependencies.hpp"

namespace shunt {

template <work Work, detail::platform Platform = detail::host_platform>
class gloo_session;

/// The executor of one process. Copies share their epoch. Only one session may be open at a time.
template <detail::platform Platform = detail::host_platform>
class basic_gloo_executor {
 public:
  /// Ends this process at an injected failure, on the thread that runs its programs. It must not
  /// return.
  using end_of_process = std::function<void()>;

  /// As rank `self` of 0 .. ranks-1, all of which are members of the first epoch.
  basic_gloo_executor(gloo_config config, std::int32_t ranks, rank_id self,
                      std::vector<failure_point> failures = {}, end_of_process end_process = killed)
      : basic_gloo_executor(std::move(config), ranks, self, every_rank(ranks), 0,
                            std::move(failures), std::move(end_process)) {}

  /// As a new process in the place of rank `self`, on the members' request.
  basic_gloo_executor(gloo_config config, std::int32_t ranks, rank_id self,
                      join_request const& asked, std::vector<failure_point> failures = {},
                      end_of_process end_process = killed)
      : basic_gloo_executor(std::move(config), ranks, self, asked.members, asked.epoch,
                            std::move(failures), std::move(end_process)) {}

  /// Meets the other members. After the first epoch, members that do not come in time are lost.
  /// Returns a session whose first program is iteration `first_iteration`.
  /// Throws rendezvous_failed where no mesh can be made; in the first epoch also where a member
  /// does not come.
  template <work Work>
  [[nodiscard]] gloo_session<Work, Platform> open(Work& w, std::int64_t first_iteration = 0) const {
    return gloo_session<Work, Platform>(*this, w, first_iteration);
  }
  /// Runs one program in a session of its own.
  /// Throws as `open` and the session.
  template <work Work>
  outcome run(program const& p, Work& w) const {
    return run_once(*this, p, w);
  }

  /// Makes a lost rank a member of the next epoch and asks a new process to take its place, just
  /// before `iteration`. `dead` are the ranks that are dead until then.
  /// Throws rendezvous_failed where the directory cannot be used.
  /// Requires that all members call it between the same two sessions.
  void admit(rank_id joining, std::int64_t iteration, std::span<rank_id const> dead) const {
    auto& members = epoch_state_->members;
    auto const at = std::lower_bound(members.begin(), members.end(), joining);
    if (at != members.end() && *at == joining) return;
    members.insert(at, joining);
    // The mesh may have lost an earlier process of this rank.
    if (epoch_state_->before) epoch_state_->before->forgive({joining});
    request_join<Platform>(config_, joining, self_,
                           {epoch_state_->epoch, iteration, members, {dead.begin(), dead.end()}});
  }

  [[nodiscard]] rank_id rank() const { return self_; }
  [[nodiscard]] std::int32_t epoch() const { return epoch_state_->epoch; }
  /// Returns the live ranks, as agreed last.
  [[nodiscard]] std::vector<rank_id> const& members() const { return epoch_state_->members; }

 private:
  template <work Work, detail::platform On>
  friend class gloo_session;

  static void killed() { std::raise(SIGKILL); }
  static std::vector<rank_id> every_rank(std::int32_t ranks) {
    std::vector<rank_id> all;
    for (std::int32_t r = 0; r < ranks; ++r) all.emplace_back(r);
    return all;
  }
  basic_gloo_executor(gloo_config config, std::int32_t ranks, rank_id self,
                      std::vector<rank_id> members, std::int32_t epoch,
                      std::vector<failure_point> failures, end_of_process end_process)
      : config_(std::move(config)),
        self_(self),
        ranks_(ranks),
        failures_(std::move(failures)),
        end_process_(std::move(end_process)),
        epoch_state_(std::make_shared<detail::epoch_state<Platform>>()) {
    epoch_state_->members = std::move(members);
    epoch_state_->epoch = epoch;
    epoch_state_->first = epoch == 0;
  }

  gloo_config config_;
  rank_id self_;
  std::int32_t ranks_;
  std::vector<failure_point> failures_;  // injected, for tests
  end_of_process end_process_;
  std::shared_ptr<detail::epoch_state<Platform>> epoch_state_;
};

/// The executor of one process.
using gloo_executor = basic_gloo_executor<>;

/// Iterations of this process's rank, on a thread of its own. `submit` may be called from any
/// thread, all other members from one thread.
template <work Work, detail::platform Platform>
class gloo_session {
 public:
  gloo_session(basic_gloo_executor<Platform> const& of, Work& w, std::int64_t first_iteration)
      : of_(of), epoch_(of.config_, of.self_, of.epoch_state_) {
    if (!epoch_.open()) return;
    net_ = epoch_.mesh();
    loop_.emplace(*net_, w, first_iteration, clock_);
    runner_ = typename Platform::thread([this] { run_rank(); });
  }
  gloo_session(gloo_session const&) = delete;
  gloo_session& operator=(gloo_session const&) = delete;
  ~gloo_session() {
    submitted_.close();
    if (runner_.joinable() && net_ && !waited_)
      net_->leave();  // the session was not waited for: to the others this rank is lost
    if (runner_.joinable()) runner_.join();
  }

  /// Appends a program.
  /// Throws invalid_program where it is for another number of ranks, and where ranks would wait
  /// forever; logic_error after `wait`.
  void submit(std::shared_ptr<program const> p) {
    auto const check = [&](program const& q) {
      if (q.ranks.size() != static_cast<std::size_t>(of_.ranks_))
        throw invalid_program(std::to_string(q.ranks.size()) + " lists for " +
                              std::to_string(of_.ranks_) + " processes");
      if (!submitted_.list().repeats(q)) require_runnable(q);
    };
    submitted_.append(std::move(p), check, [] {});
  }
  void submit(program p) { submit(std::make_shared<program const>(std::move(p))); }

  /// Waits until all members have completed the first `programs` programs.
  /// Returns false where a member is lost before that.
  /// Throws logic_error where fewer were submitted.
  [[nodiscard]] bool wait_until(std::int32_t programs) {
    submitted_.require_submitted(programs);
    if (!net_ || !net_->all_reached(epoch_.before() + programs)) return false;
    submitted_.all_completed(programs, clock_.now());
    epoch_.all_are_here();
    return true;
  }
  /// Returns when this process knew that all had completed the n-th program (from 1).
  /// Requires that `wait_until` has returned true for n or more.
  [[nodiscard]] ticks completed_at(std::int32_t n) const { return submitted_.completed_at(n); }

  /// Ends the session on every process and agrees on its outcome.
  /// Returns the outcome, with the events of this process.
  /// Throws what the work threw: to the others this rank is then lost; fenced_off where the others
  /// took this rank for lost; rendezvous_failed where the directory cannot be used.
  [[nodiscard]] outcome wait() {
    submitted_.close();
    if (runner_.joinable()) runner_.join();
    waited_ = true;
    if (failure_) std::rethrow_exception(failure_);
    if (net_) epoch_.settle(loop_->log().done());

    outcome all;
    all.timeline.seconds_per_tick = stopwatch::seconds_per_tick;
    all.done.resize(static_cast<std::size_t>(of_.ranks_));
    for (survivor const& s : epoch_.left()) all.done[s.rank] = detail::exit_status::of(s.note).done;
    all.lost = epoch_.lost();
    if (loop_) loop_->log().append_to(all.timeline.events, of_.self_, submitted_.list().programs());
    return all;
  }

  /// Returns the times of the loss that ended the session, as this process measured them.
  /// Requires that `wait` has returned.
  [[nodiscard]] loss_times times_of_loss() const { return epoch_.times(); }

 private:
  /// Thread body: runs programs until the session closes, a peer fails or the work throws.
  void run_rank() {
    auto const done = [&] { return loop_->log().done().programs; };
    try {
      while (auto const p = submitted_.next(static_cast<std::size_t>(done()))) {
        auto const fails_before =
            detail::failure_of(of_.failures_, *p, of_.self_, loop_->iteration());
        loop_->run(*p, [&](std::int32_t i) {
          if (i == fails_before) of_.end_process_();
        });
        net_->publish(epoch_.before() + done());
      }
    } catch (peer_lost const&) {
    } catch (run_aborted const&) {
    } catch (...) {
      failure_ = std::current_exception();
      net_->leave();
    }
  }

  basic_gloo_executor<Platform> const of_;
  stopwatch const clock_{};
  detail::process_epoch<Platform> epoch_;
  std::shared_ptr<basic_gloo_mesh<Platform>> net_{};
  std::optional<rank_interpreter<basic_gloo_mesh<Platform>, Work>> loop_{};
  std::exception_ptr failure_{};
  bool waited_ = false;
  detail::basic_shared_submissions<typename Platform::mutex, typename Platform::condition>
      submitted_{};
  typename Platform::thread runner_{};
};

}  // namespace shunt
