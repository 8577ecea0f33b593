#pragma once
/// An executor whose ranks are devices connected by NCCL. One thread a rank enqueues its lists on
/// the streams of its device.
///
/// All ranks live in this process (one device each), or one of them; then every process opens the
/// same sessions, submits the same programs and waits. A session is an epoch with communicators of
/// its own.
/// A rank that fails stops all other ranks of its process: first the guard word suppresses all
/// enqueued effects, then communicators are aborted, so that no kernel waits forever. Ranks of
/// other processes notice it by NCCL's asynchronous errors, `net.watch` or `net.silence`.
/// Of ranks in other processes the outcome holds only that they completed all programs (after a run
/// without failure), and those that `net.watch` reported as lost.
#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "shunt/core/error.hpp"
#include "shunt/execute/executor.hpp"
#include "shunt/execute/host/failures.hpp"
#include "shunt/execute/host/stopwatch.hpp"
#include "shunt/execute/transport.hpp"
#include "shunt/nccl/detail/rank_streams.hpp"
#include "shunt/nccl/transport.hpp"

namespace shunt {

template <nccl_library Api, class Systems, class Work>
class nccl_session;

/// `systems(rank)` sets the device of the calling thread and returns its stream_system.
template <nccl_library Api, class Systems>
struct nccl_executor {
  using system = std::invoke_result_t<Systems const&, rank_id>;
  static_assert(stream_system<system>);

  Systems systems{};
  nccl_config net{};
  float_order floats = float_order::of_the_group;
  std::vector<failure_point> failures{};
  /// Time after which the other ranks of this process treat a silent rank as lost.
  std::chrono::milliseconds timeout{50};
  std::optional<rank_id> self{};  ///< the rank of this process; nothing: all ranks
  /// Returns the identity of the next epoch's communicators, the same on all of these ranks. Used
  /// where `self` is set.
  std::function<typename Api::identity(std::span<rank_id const>)> share_identity{};

  template <class Work>
  [[nodiscard]] nccl_session<Api, Systems, Work> open(Work& w,
                                                      std::int64_t first_iteration = 0) const {
    return nccl_session<Api, Systems, Work>(*this, w, first_iteration);
  }
  template <class Work>
  outcome run(program const& p, Work& w) const {
    auto session = open(w);
    session.submit(non_owning(p));
    return session.wait();
  }
};

/// A session. The first program submitted determines the number of ranks and starts them. The
/// destructor cancels what still runs.
template <nccl_library Api, class Systems, class Work>
class nccl_session {
 public:
  using executor = nccl_executor<Api, Systems>;
  using system = typename executor::system;

  nccl_session(executor const& config, Work& w, std::int64_t first_iteration)
      : config_(config), work_(w), first_iteration_(first_iteration) {}
  nccl_session(nccl_session const&) = delete;
  nccl_session& operator=(nccl_session const&) = delete;
  ~nccl_session() {
    cancel();
    close();
    join();
  }

  /// Appends a program. Throws invalid_program where it has another number of ranks than the first,
  /// where ranks wait for each other in a circle or messages would overtake each other, and
  /// logic_error after `wait`.
  void submit(std::shared_ptr<program const> p) {
    std::lock_guard const lock(mutex_);
    if (closed_) throw std::logic_error("submit: the session was waited for and is over");
    require_equal_ranks(programs_.empty() ? *p : *programs_.front(), *p);
    if (programs_.empty() || programs_.back() != p) require_runnable(*p);
    programs_.push_back(std::move(p));
    completers_.push_back(0);
    if (ranks_.empty())
      start();
    else
      changed_.notify_all();
  }
  void submit(program p) { submit(std::make_shared<program const>(std::move(p))); }

  /// Waits until all ranks that live here have completed the first `programs` programs; false where
  /// a rank was lost or failed before that. Throws logic_error where fewer were submitted.
  [[nodiscard]] bool wait_until(std::int32_t programs) {
    std::unique_lock lock(mutex_);
    if (programs > static_cast<std::int32_t>(programs_.size()))
      throw std::logic_error("wait_until: that many were not submitted");
    changed_.wait(lock, [&] { return complete() >= programs || over_; });
    return complete() >= programs;
  }
  /// When all ranks had completed the n-th program (from 1), on the timeline's clock. For n up to
  /// what wait_until has seen.
  [[nodiscard]] ticks completed_at(std::int32_t n) const {
    std::lock_guard const lock(mutex_);
    return completions_.at(static_cast<std::size_t>(n - 1));
  }

  /// Ends the session: returns when every rank has completed all that was submitted or, after a
  /// loss, has stopped. Rethrows what the work or NCCL threw; of several, the lowest rank's.
  [[nodiscard]] outcome wait() {
    close();
    join();
    for (auto const& r : ranks_)
      if (r->failure) std::rethrow_exception(r->failure);
    outcome all;
    all.timeline.seconds_per_tick = stopwatch::seconds_per_tick;
    std::size_t const size = programs_.empty() ? 0 : programs_.front()->ranks.size();
    all.done.resize(size,
                    over_ ? progress{} : progress{static_cast<std::int32_t>(programs_.size()), 0});
    for (auto const& r : ranks_) {
      auto& events = all.timeline.events;
      auto const first = static_cast<std::ptrdiff_t>(events.size());
      r->log.append_to(events, r->rank, programs_);
      std::sort(events.begin() + first, events.end(), [](event const& a, event const& b) {
        return std::tie(a.start, a.iteration, a.instruction) <
               std::tie(b.start, b.iteration, b.instruction);
      });
      all.done[r->rank] = r->log.done();
      if (r->silent) all.lost.push_back(r->rank);
      for (rank_id const lost : r->noticed) all.lost.push_back(lost);
    }
    std::sort(all.lost.begin(), all.lost.end());
    all.lost.erase(std::unique(all.lost.begin(), all.lost.end()), all.lost.end());
    return all;
  }

 private:
  struct rank_state {
    rank_id rank{};
    run_log log{};
    bool silent = false;
    std::vector<rank_id> noticed{};  // lost ranks of other processes
    std::exception_ptr failure{};
    std::thread thread{};
  };
  using streams = detail::rank_streams<Api, system, Work>;

  static void require_runnable(program const& p) {
    auto const d = find_dependencies(p);
    if (auto const order = serial_order(p, d); order.size() < p.instructions())
      throw_deadlock(p, order);
    require_message_order(p, find_routes(p));
  }

  void start() {
    auto const size = programs_.front()->ranks.size();
    for (rank_id const r : ids<rank_id>(size)) members_.push_back(r);
    if (config_.self && config_.self->index() >= size)
      throw invalid_program("the program is for " + std::to_string(size) + " ranks, this is rank " +
                            std::to_string(config_.self->value()));
    if (!config_.self) identity_ = Api::new_identity();
    for (rank_id const r : members_)
      if (!config_.self || *config_.self == r) {
        ranks_.push_back(std::make_unique<rank_state>());
        ranks_.back()->rank = r;
      }
    for (auto& r : ranks_) r->thread = std::thread([this, &state = *r] { run_rank(state); });
  }

  /// Thread body of one rank. Its enqueued work ends before its communicators, and these before its
  /// streams.
  void run_rank(rank_state& self) {
    bool first = true;
    try {
      auto device = config_.systems(self.rank);
      auto net_config = config_.net;
      net_config.watch = [this] { watch(); };
      std::optional<streams> lists;  // outlives `net`
      if (config_.self && config_.share_identity) identity_ = config_.share_identity(members_);
      auto const net =
          std::make_unique<nccl_transport<Api>>(identity_, members_, self.rank, net_config);
      lists.emplace(device, *net, work_, first_iteration_, config_.floats, clock_.now());
      try {
        enqueue_all(self, *lists, *net);
        net->close();
        self.log = lists->log();
      } catch (...) {
        self.log = lists->log();
        first = !cancelled();
        if (fails_now(self))
          mark_failed(self);
        else
          cancel();
        lists->stop();
        net->abort();
        throw;
      }
    } catch (peer_lost const& e) {
      self.noticed.push_back(e.peer());
    } catch (run_aborted const&) {
      if (!self.silent && fails_now(self)) mark_failed(self);
    } catch (nccl_error const&) {  // an abort by another rank is no failure of this one
      if (first) self.failure = std::current_exception();
    } catch (...) {
      self.failure = std::current_exception();
    }
    if (self.failure || !self.noticed.empty()) cancel();
  }

  /// Enqueues programs until the session is closed and all lists have ended.
  /// Throws what fails, and run_aborted where this rank's injected failure is reached.
  void enqueue_all(rank_state& self, streams& lists, nccl_transport<Api>& net) {
    std::size_t n = 0;
    for (;;) {
      auto const p = next(n, lists.outstanding() > 0);
      if (!p && lists.outstanding() == 0) return;
      if (!p) {
        advance(self, lists, net, [&] { return lists.outstanding() == 0 || has(n); });
        continue;
      }
      auto const& own = (*p).ranks[self.rank];
      bool const fresh = n == 0 || has_other(n, n - 1);
      bool const makes = fresh && net.must_prepare(*p);
      advance(self, lists, net, [&] { return lists.outstanding() < (makes ? 1U : 2U); });
      if (fresh) lists.prepare(*p);
      auto const fails_before = failure_of(config_.failures, *p, self.rank, lists.iteration());
      lists.enqueue(p, fails_before.value_or(static_cast<std::int32_t>(own.instructions.size())),
                    !fails_before);
      if (fails_before) {
        advance(self, lists, net, [&] { return lists.idle(); });
        throw run_aborted{};
      }
      ++n;
    }
  }

  /// Collects what ends until a condition holds.
  /// Throws nccl_error where nothing ends for `net.silence`.
  template <class Condition>
  void advance(rank_state& self, streams& lists, nccl_transport<Api>& net, Condition const& until) {
    auto last = std::chrono::steady_clock::now();
    for (detail::backoff pause;; pause()) {
      auto const before = lists.log().done().programs;
      bool const any = lists.collect_results();
      for (auto k = before; k < lists.log().done().programs; ++k) completed(k);
      if (until()) return;
      net.poll();
      auto const now = std::chrono::steady_clock::now();
      if (any) {
        last = now;
        pause = {};
      } else if (now - last > config_.net.silence) {
        throw nccl_error("rank " + std::to_string(self.rank.value()) + " completed nothing for " +
                             std::to_string(config_.net.silence.count()) + " ms, waiting for " +
                             lists.awaited(),
                         nccl_status::in_progress);
      }
    }
  }

  /// Returns the n-th program. Returns nothing where the session is closed without it, or where it
  /// is not there yet and `impatient` is set.
  /// Throws run_aborted where the session is cancelled.
  [[nodiscard]] std::shared_ptr<program const> next(std::size_t n, bool impatient) {
    std::unique_lock lock(mutex_);
    if (!impatient) changed_.wait(lock, [&] { return n < programs_.size() || closed_ || over_; });
    if (over_) throw run_aborted{};
    return n < programs_.size() ? programs_[n] : nullptr;
  }
  [[nodiscard]] bool has(std::size_t n) const {
    std::lock_guard const lock(mutex_);
    return n < programs_.size();
  }

  [[nodiscard]] bool has_other(std::size_t a, std::size_t b) const {
    std::lock_guard const lock(mutex_);
    return programs_[a] != programs_[b];
  }

  /// Throws where this rank must stop.
  void watch() {
    if (config_.net.watch) config_.net.watch();
    if (cancelled()) throw run_aborted{};
  }
  /// Returns whether the rank has reached its injected failure.
  [[nodiscard]] bool fails_now(rank_state const& self) const {
    std::lock_guard const lock(mutex_);
    auto const done = self.log.done();
    auto const n = static_cast<std::size_t>(done.programs);
    return n < programs_.size() &&
           failure_of(config_.failures, *programs_[n], self.rank,
                      first_iteration_ + done.programs) == std::optional(done.instructions);
  }
  /// Stops without a message; after `timeout` the other ranks treat this rank as lost.
  void mark_failed(rank_state& self) {
    self.silent = true;
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, config_.timeout, [&] { return over_; });
    over_ = true;
    changed_.notify_all();
  }

  void completed(std::int32_t n) {
    std::lock_guard const lock(mutex_);
    if (++completers_[static_cast<std::size_t>(n)] < static_cast<std::int32_t>(ranks_.size()))
      return;
    completions_.push_back(clock_.now());
    changed_.notify_all();
  }
  [[nodiscard]] bool cancelled() const {
    std::lock_guard const lock(mutex_);
    return over_;
  }
  void cancel() {
    {
      std::lock_guard const lock(mutex_);
      over_ = true;
    }
    changed_.notify_all();
  }
  void close() {
    {
      std::lock_guard const lock(mutex_);
      closed_ = true;
    }
    changed_.notify_all();
  }
  void join() {
    for (auto& r : ranks_)
      if (r->thread.joinable()) r->thread.join();
  }
  [[nodiscard]] std::int32_t complete() const {
    return static_cast<std::int32_t>(completions_.size());
  }

  executor const config_;
  Work& work_;
  std::int64_t const first_iteration_;
  stopwatch const clock_{};
  typename Api::identity identity_{};
  std::vector<rank_id> members_{};
  std::vector<std::unique_ptr<rank_state>> ranks_{};

  std::mutex mutable mutex_{};  // guards all members below
  std::condition_variable changed_{};
  std::vector<std::shared_ptr<program const>> programs_{};
  std::vector<std::int32_t> completers_{};
  std::vector<ticks> completions_{};
  bool closed_ = false;
  bool over_ = false;
};

}  // namespace shunt
