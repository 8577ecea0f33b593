#pragma once
/// An executor whose ranks are devices connected by NCCL. One thread a rank enqueues its lists on
/// the streams of its device.
///
/// All ranks live in this process (one device each), or one of them; then every process opens the
/// same sessions, submits the same programs and waits. A session is an epoch with communicators of
/// its own.
/// A rank that fails stops all other ranks of its process: first one guard word suppresses all
/// enqueued effects of all of them, then communicators are aborted, so that no kernel waits
/// forever. Ranks of other processes notice it by NCCL's asynchronous errors, `net.watch` or
/// `net.silence`. Until then they may compute with garbage that a stopped rank sent. Of them the
/// outcome holds only that they completed all programs (after a run without failure), and those
/// that `net.watch` reported as lost.
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include "shunt/core/error.hpp"
#include "shunt/execute/executor.hpp"
#include "shunt/execute/host/failures.hpp"
#include "shunt/execute/host/run_log.hpp"
#include "shunt/execute/host/stopwatch.hpp"
#include "shunt/execute/host/submissions.hpp"
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

  /// Returns a session whose first program is iteration `first_iteration`.
  template <class Work>
  [[nodiscard]] nccl_session<Api, Systems, Work> open(Work& w,
                                                      std::int64_t first_iteration = 0) const {
    return nccl_session<Api, Systems, Work>(*this, w, first_iteration);
  }
  /// Runs one program in a session of its own.
  /// Throws as the session does.
  template <class Work>
  outcome run(program const& p, Work& w) const {
    return run_once(*this, p, w);
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
    submitted_.cancel();
    submitted_.close();
    join();
  }

  /// Appends a program.
  /// Throws invalid_program unless it has as many ranks as the first, where it has a deadlock or
  /// where messages would overtake each other; logic_error after `wait`.
  void submit(std::shared_ptr<program const> p) {
    auto const check = [&](program const& q) {
      auto const& known = submitted_.list();
      known.require_same_ranks(q);
      if (known.repeats(q)) return;
      require_runnable(q);
      require_message_order(q, find_routes(q));
    };
    submitted_.append(p, check, [&] {
      if (ranks_.empty()) start(submitted_.list()[0]->ranks.size());
    });
  }
  void submit(program p) { submit(std::make_shared<program const>(std::move(p))); }

  /// Waits until all ranks of this process have completed the first `programs` programs.
  /// Returns false where a rank was lost or failed before that.
  /// Throws logic_error where fewer were submitted.
  [[nodiscard]] bool wait_until(std::int32_t programs) { return submitted_.wait_until(programs); }
  /// Returns when all ranks had completed the n-th program (from 1), on the timeline's clock.
  /// Requires that `wait_until` has returned true for n or more.
  [[nodiscard]] ticks completed_at(std::int32_t n) const { return submitted_.completed_at(n); }

  /// Waits until every rank has completed all submitted programs or, after a loss, has stopped.
  /// Ends the session.
  /// Returns the outcome of all programs.
  /// Throws what the work or NCCL threw; of several, what they threw on the lowest rank.
  [[nodiscard]] outcome wait();

 private:
  struct rank_state {
    rank_id rank{};
    detail::run_log log{};
    bool silent = false;
    std::vector<rank_id> noticed{};  // lost ranks of other processes
    std::exception_ptr failure{};
    std::thread thread{};
  };
  using streams = detail::rank_streams<Api, system, Work>;

  void start(std::size_t size);

  /// Thread body of one rank. Its enqueued work ends before its communicators, and these before its
  /// streams.
  void run_rank(rank_state& self);

  /// Enqueues programs until the session is closed and all lists have ended.
  /// Throws what fails, and run_aborted where this rank's injected failure is reached.
  void enqueue_all(rank_state& self, streams& lists, nccl_transport<Api>& net);

  /// Collects what ends until a condition holds.
  /// Throws nccl_error where nothing ends for `net.silence`.
  template <class Condition>
  void advance(rank_state& self, streams& lists, nccl_transport<Api>& net, Condition const& until);

  /// Returns the n-th program.
  /// Returns nothing where the session is closed without it, or where it is not there yet and
  /// `impatient` is set.
  /// Throws run_aborted where the session is cancelled.
  [[nodiscard]] std::shared_ptr<program const> next(std::size_t n, bool impatient) {
    auto p = impatient ? submitted_.at(n) : submitted_.next(n);
    if (submitted_.cancelled()) throw run_aborted{};
    return p;
  }

  /// Throws where this rank must stop.
  void watch() {
    if (config_.net.watch) config_.net.watch();
    if (submitted_.cancelled()) throw run_aborted{};
  }
  /// Returns whether the rank has reached its injected failure.
  [[nodiscard]] bool fails_now(rank_state const& self) const;

  void join() {
    for (auto& r : ranks_)
      if (r->thread.joinable()) r->thread.join();
  }

  executor const config_;
  Work& work_;
  std::int64_t const first_iteration_;
  stopwatch const clock_{};
  typename Api::identity identity_{};
  detail::shared_guard<system> guard_{};
  detail::shared_posts posts_{};
  std::vector<rank_id> members_{};
  std::vector<std::unique_ptr<rank_state>> ranks_{};
  detail::shared_submissions submitted_{};
};

}  // namespace shunt

#include "shunt/nccl/executor.ipp"
#include "shunt/program/dependencies.hpp"
