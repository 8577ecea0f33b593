#pragma once
#include <chrono>
#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "shunt/execute/executor.hpp"
#include "shunt/execute/host/failures.hpp"
#include "shunt/execute/host/in_process_network.hpp"
#include "shunt/execute/host/rank_interpreter.hpp"
#include "shunt/execute/host/stopwatch.hpp"
#include "shunt/execute/host/submissions.hpp"
#include "shunt/program/dependencies.hpp"

namespace shunt {

template <work Work>
class thread_session;

/// One thread a rank over an in-process network, timed by the steady clock in nanoseconds. A rank
/// runs its list in list order and ignores the lanes.
struct thread_executor {
  std::vector<failure_point> failures{};  ///< injected failures
  /// Silence of a rank after which ranks that wait for it take it for lost.
  std::chrono::milliseconds timeout{50};

  /// Returns a session whose first program is iteration `first_iteration`.
  template <work Work>
  [[nodiscard]] thread_session<Work> open(Work& w, std::int64_t first_iteration = 0) const {
    return thread_session<Work>(*this, w, first_iteration);
  }
  /// Runs one program in a session of its own.
  /// Throws as the session does.
  template <work Work>
  outcome run(program const& p, Work& w) const {
    return run_once(*this, p, w);
  }
};

/// Iterations on one thread a rank. The first submitted program gives the number of ranks and
/// starts their threads. The destructor cancels what still runs and joins the threads. `submit` and
/// `completed_at` may be called from any thread; all other members from one thread.
template <work Work>
class thread_session {
 public:
  thread_session(thread_executor const& config, Work& w, std::int64_t first_iteration)
      : config_(config), work_(w), first_iteration_(first_iteration) {}
  thread_session(thread_session const&) = delete;
  thread_session& operator=(thread_session const&) = delete;
  ~thread_session() {
    if (net_) net_->cancel();
    submitted_.close();
    join();
  }

  /// Appends a program.
  /// Throws invalid_program unless it has as many ranks as the first, and where ranks would wait
  /// forever; logic_error after `wait`.
  void submit(std::shared_ptr<program const> p) {
    auto const check = [&](program const& q) {
      submitted_.list().require_same_ranks(q);
      if (!submitted_.list().repeats(q)) require_runnable(q);
    };
    submitted_.append(std::move(p), check, [&] {
      if (threads_.empty()) start(submitted_.list()[0]->ranks.size());
    });
  }
  void submit(program p) { submit(std::make_shared<program const>(std::move(p))); }

  /// Waits until all ranks have completed the first `programs` programs.
  /// Returns false where a rank was lost or failed before that.
  /// Throws logic_error where fewer were submitted.
  [[nodiscard]] bool wait_until(std::int32_t programs) {
    bool const complete = submitted_.wait_until(programs);
    // A failed rank may keep no other rank waiting; then the session has missed its heartbeat.
    if (!complete) net_->cancel();
    return complete;
  }

  /// Returns when all ranks had completed the n-th program (from 1), on the timeline's clock.
  /// Requires that `wait_until` has returned true for n or more.
  [[nodiscard]] ticks completed_at(std::int32_t n) const { return submitted_.completed_at(n); }

  /// Waits until every rank has completed all submitted programs or, after a loss, has stopped.
  /// Ends the session.
  /// Returns the outcome of all programs.
  /// Throws what the work threw; of several, what it threw on the lowest rank.
  [[nodiscard]] outcome wait() {
    submitted_.close();
    join();
    for (auto const& r : ranks_)
      if (r->failure) std::rethrow_exception(r->failure);
    std::vector<detail::rank_result> results;
    for (auto const& r : ranks_) results.push_back({r->loop.log(), r->silent});
    return detail::collect(results, submitted_.list().programs(), detail::event_order::list);
  }

 private:
  struct rank_failed {};

  struct rank_state {
    rank_state(in_process_network::endpoint at, Work& w, std::int64_t first, stopwatch const& clock)
        : end(at), loop(end, w, first, clock) {}
    in_process_network::endpoint end;
    rank_interpreter<in_process_network::endpoint, Work> loop;
    bool silent = false;
    std::exception_ptr failure{};
  };

  void start(std::size_t ranks) {
    net_.emplace(static_cast<std::int32_t>(ranks), config_.timeout);
    for (rank_id const r : ids<rank_id>(ranks))
      ranks_.push_back(std::make_unique<rank_state>(net_->at(r), work_, first_iteration_, clock_));
    threads_.reserve(ranks);
    for (auto& r : ranks_) threads_.emplace_back([this, &state = *r] { run_rank(state); });
  }

  /// Thread body of one rank: runs programs until the session closes, a peer fails or the work
  /// throws.
  void run_rank(rank_state& self) {
    rank_id const rank = self.end.rank();
    auto const completed = [&] { return self.loop.log().done().programs; };
    try {
      while (auto const p = submitted_.next(static_cast<std::size_t>(completed()))) {
        auto const fails_before =
            detail::failure_of(config_.failures, *p, rank, self.loop.iteration());
        auto const length = static_cast<std::int32_t>(p->ranks[rank].instructions.size());
        self.loop.run(*p, [&](std::int32_t i) {
          if (i == fails_before) throw rank_failed{};
          if (i < length && net_->cancelled()) throw run_aborted{};
        });
        submitted_.list_completed(completed() - 1, ranks_.size(), clock_);
      }
    } catch (rank_failed const&) {
      self.silent = true;
      net_->mark_failed(rank);
      submitted_.give_up_at(in_process_network::clock::now() + config_.timeout);
    } catch (peer_lost const&) {
      cancel();
    } catch (run_aborted const&) {
    } catch (...) {
      self.failure = std::current_exception();
      cancel();
    }
    if (self.silent) return;
    if (submitted_.cancelled()) net_->cancel();  // others may wait for what it does not send
    self.end.close();
  }

  void cancel() {
    net_->cancel();
    submitted_.cancel();
  }
  void join() {
    for (auto& t : threads_)
      if (t.joinable()) t.join();
  }

  thread_executor const config_;
  Work& work_;
  std::int64_t const first_iteration_;
  stopwatch const clock_{};
  std::optional<in_process_network> net_{};
  std::vector<std::unique_ptr<rank_state>> ranks_{};
  std::vector<std::thread> threads_{};
  detail::shared_submissions submitted_{};
};

}  // namespace shunt
