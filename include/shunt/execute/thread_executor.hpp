#pragma once
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <thread>
#include <utility>
#include <vector>

#include "shunt/core/error.hpp"
#include "shunt/execute/executor.hpp"
#include "shunt/execute/host/failures.hpp"
#include "shunt/execute/host/in_process_network.hpp"
#include "shunt/execute/host/rank_interpreter.hpp"

namespace shunt {

template <work Work>
class thread_session;

/// One thread a rank over an in-process network, timed by the steady clock in nanoseconds. A rank
/// runs its list in list order, whatever the lanes; programs are expected to pass `check`, for a
/// program that can deadlock does so here.
struct thread_executor {
  std::vector<failure_point> failures{};
  std::chrono::milliseconds timeout{
      50};  ///< silence of a rank after which those who wait for it give it up as lost

  template <work Work>
  [[nodiscard]] thread_session<Work> open(Work& w, std::int64_t first_iteration = 0) const {
    return thread_session<Work>(*this, w, first_iteration);
  }
  template <work Work>
  outcome run(program const& p, Work& w) const {
    return run_once(*this, p, w);
  }
};

/// Iterations on one thread a rank. The first program submitted says how many ranks there are and
/// starts their threads; the destructor calls off what still runs and joins them.
template <work Work>
class thread_session {
 public:
  thread_session(thread_executor const& config, Work& w, std::int64_t first_iteration)
      : config_(config), work_(w), first_iteration_(first_iteration) {}
  thread_session(thread_session const&) = delete;
  thread_session& operator=(thread_session const&) = delete;
  ~thread_session() {
    if (net_) net_->cancel();
    close();
    join();
  }

  /// Appends a program. Throws invalid_program where it has another number of ranks than the first,
  /// logic_error after `wait`.
  void submit(std::shared_ptr<program const> p) {
    std::lock_guard const lock(mutex_);
    if (closed_) throw std::logic_error("submit: the session was waited for and is over");
    require_equal_ranks(programs_.empty() ? *p : *programs_.front(), *p);
    programs_.push_back(std::move(p));
    completers_.push_back(0);
    if (threads_.empty())
      start();
    else
      submitted_.notify_all();
  }
  void submit(program p) { submit(std::make_shared<program const>(std::move(p))); }

  /// Waits until all ranks have completed the first `programs` programs; false where a rank was
  /// lost or failed before that. Throws logic_error where fewer were submitted.
  [[nodiscard]] bool wait_until(std::int32_t programs) {
    std::unique_lock lock(mutex_);
    if (programs > static_cast<std::int32_t>(programs_.size()))
      throw std::logic_error("wait_until: that many were not submitted");
    auto const settled = [&] { return complete() >= programs || over_; };
    progressed_.wait(lock, [&] { return settled() || silent_at_; });
    if (!settled() && !progressed_.wait_until(lock, *silent_at_ + config_.timeout, settled)) {
      over_ =
          true;  // perhaps no rank waits for the silent one, but the session misses its heartbeat
      net_->cancel();
    }
    return complete() >= programs;
  }

  /// When all ranks had completed the n-th program (from 1), on the timeline's clock. For n up to
  /// what wait_until has seen.
  [[nodiscard]] ticks completed_at(std::int32_t n) const {
    std::lock_guard const lock(mutex_);
    return completions_.at(static_cast<std::size_t>(n - 1));
  }

  /// Ends the session: returns when every rank has completed all that was submitted or, after a
  /// loss, has stopped. Rethrows what the work threw; of several, the lowest rank's.
  [[nodiscard]] outcome wait() {
    close();
    join();
    for (auto const& r : ranks_)
      if (r->failure) std::rethrow_exception(r->failure);
    outcome all;
    all.timeline.seconds_per_tick = stopwatch::seconds_per_tick;
    std::size_t events = 0;
    for (auto const& r : ranks_) events += r->loop.log().size();
    all.timeline.events.reserve(events);
    for (auto const& r : ranks_) {
      r->loop.log().append_to(all.timeline.events, r->end.rank(), programs_);
      all.done.push_back(r->loop.log().done());
      if (r->silent) all.lost.push_back(r->end.rank());
    }
    return all;
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

  void start() {
    auto const ranks = programs_.front()->ranks.size();
    net_.emplace(static_cast<std::int32_t>(ranks), config_.timeout);
    for (rank_id const r : ids<rank_id>(ranks))
      ranks_.push_back(std::make_unique<rank_state>(net_->at(r), work_, first_iteration_, clock_));
    threads_.reserve(ranks);
    for (auto& r : ranks_) threads_.emplace_back([this, &state = *r] { run_rank(state); });
  }

  /// A rank's life.
  void run_rank(rank_state& self) {
    rank_id const rank = self.end.rank();
    try {
      while (auto const p = next(self)) {
        auto const fails_before = failure_of(config_.failures, *p, rank, self.loop.iteration());
        auto const length = static_cast<std::int32_t>(p->ranks[rank].instructions.size());
        self.loop.run(*p, [&](std::int32_t i) {
          if (i == fails_before) throw rank_failed{};
          if (i < length && net_->cancelled()) throw run_aborted{};
        });
        completed(self);
      }
    } catch (rank_failed const&) {
      self.silent = true;
      net_->mark_failed(rank);
      std::lock_guard const lock(mutex_);
      if (!silent_at_) silent_at_ = in_process_network::clock::now();
    } catch (peer_lost const&) {
      cancel();
    } catch (run_aborted const&) {
    } catch (...) {
      self.failure = std::current_exception();
      cancel();
    }
    if (!self.silent) self.end.close();
    progressed_.notify_all();
  }

  /// The next program of a rank, or nothing when the session is over.
  [[nodiscard]] std::shared_ptr<program const> next(rank_state const& self) {
    auto const n = static_cast<std::size_t>(self.loop.log().done().programs);
    std::unique_lock lock(mutex_);
    submitted_.wait(lock, [&] { return n < programs_.size() || closed_ || over_; });
    return n < programs_.size() && !over_ ? programs_[n] : nullptr;
  }

  void completed(rank_state const& self) {
    std::lock_guard const lock(mutex_);
    auto const n = static_cast<std::size_t>(self.loop.log().done().programs - 1);
    if (++completers_[n] < static_cast<std::int32_t>(ranks_.size())) return;
    completions_.push_back(clock_.now());
    progressed_.notify_all();
  }

  void cancel() {
    net_->cancel();
    {
      std::lock_guard const lock(mutex_);
      over_ = true;
    }
    submitted_.notify_all();
  }
  void close() {
    {
      std::lock_guard const lock(mutex_);
      closed_ = true;
    }
    submitted_.notify_all();
  }
  void join() {
    for (auto& t : threads_)
      if (t.joinable()) t.join();
  }
  [[nodiscard]] std::int32_t complete() const {
    return static_cast<std::int32_t>(completions_.size());
  }

  thread_executor const config_;
  Work& work_;
  std::int64_t const first_iteration_;
  stopwatch const clock_{};
  std::optional<in_process_network> net_{};
  std::vector<std::unique_ptr<rank_state>> ranks_{};
  std::vector<std::thread> threads_{};

  std::mutex mutable mutex_{};  // guards all below
  std::condition_variable submitted_{}, progressed_{};
  std::vector<std::shared_ptr<program const>> programs_{};
  std::vector<std::int32_t> completers_{};  // how many ranks have completed each program
  std::vector<ticks> completions_{};        // when the last of them had
  std::optional<in_process_network::clock::time_point> silent_at_{};
  bool closed_ = false;
  bool over_ = false;
};

}  // namespace shunt
