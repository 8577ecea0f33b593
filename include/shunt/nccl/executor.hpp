#pragma once
/// An executor whose ranks are devices that talk by NCCL: one thread a rank enqueues its lists on
/// the streams of its device.
///
/// All ranks may live in this process (one device each), or one of them, and then every process
/// does what the others do: opens sessions, submits the same programs, waits. A session is an epoch
/// with communicators of its own, which end with it. A rank that is silent or refuses something
/// stops all others of its process: first nothing enqueued leaves a trace any more, then
/// communicators are aborted, so that no kernel waits forever. Ranks of other processes notice by
/// NCCL's asynchronous errors, by `net.watch`, or by `net.silence`.
///
/// Of ranks in other processes the outcome knows only that they have completed what was submitted,
/// where nothing went wrong, and those that `net.watch` named as lost.
#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <string>
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
#include "shunt/nccl/rank_streams.hpp"
#include "shunt/nccl/transport.hpp"

namespace shunt {

template <nccl_library Api, class Systems, class Work>
class nccl_session;

/// `systems(rank)` sets the device of the calling thread and returns its streams, a stream_system.
template <nccl_library Api, class Systems>
struct nccl_executor {
  using system = std::invoke_result_t<Systems const&, rank_id>;
  static_assert(stream_system<system>);

  Systems systems{};
  nccl_config net{};
  float_order floats = float_order::of_the_group;
  std::vector<fault> faults{};
  std::chrono::milliseconds timeout{
      50};  ///< silence of a rank of this process after which the others give it up as lost
  std::optional<rank_id> self{};  ///< the one rank that lives here; nothing: all
  /// Where only one lives here: the identity of the next epoch's communicators, the same for all of
  /// these ranks.
  std::function<typename Api::identity(std::span<rank_id const>)> meet{};

  template <class Work>
  [[nodiscard]] nccl_session<Api, Systems, Work> open(Work& w,
                                                      std::int64_t first_iteration = 0) const {
    return nccl_session<Api, Systems, Work>(*this, w, first_iteration);
  }
  template <class Work>
  outcome run(program const& p, Work& w) const {
    return run_once(*this, p, w);
  }
};

/// Iterations. The first program submitted says how many ranks there are and starts them; the
/// destructor calls off what still runs.
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

  /// Appends a program. Throws invalid_program where it has another number of ranks than the first,
  /// where ranks wait for each other in a circle or messages would overtake each other, and
  /// logic_error after `wait`.
  void submit(std::shared_ptr<program const> p) {
    auto const check = [&](program const& q) {
      auto const& known = submitted_.list();
      known.require_same_ranks(q);
      if (known.empty() || known.programs().back() != p) judge(q);
    };
    submitted_.append(p, check, [&] {
      if (ranks_.empty()) start(submitted_.list()[0]->ranks.size());
    });
  }
  void submit(program p) { submit(std::make_shared<program const>(std::move(p))); }

  /// Waits until all ranks that live here have completed the first `programs` programs; false where
  /// a rank was lost or failed before that. Throws logic_error where fewer were submitted.
  [[nodiscard]] bool wait_until(std::int32_t programs) { return submitted_.wait_until(programs); }
  /// When all ranks had completed the n-th program (from 1), on the timeline's clock. For n up to
  /// what wait_until has seen.
  [[nodiscard]] ticks completed_at(std::int32_t n) const { return submitted_.completed_at(n); }

  /// Ends the session: returns when every rank has completed all that was submitted or, after a
  /// loss, has stopped. Rethrows what the work or NCCL threw; of several, the lowest rank's.
  [[nodiscard]] outcome wait() {
    submitted_.close();
    join();
    for (auto const& r : ranks_)
      if (r->failure) std::rethrow_exception(r->failure);
    outcome all;
    all.timeline.seconds_per_tick = stopwatch::seconds_per_tick;
    auto const& known = submitted_.list();
    all.done.resize(known.empty() ? 0 : known[0]->ranks.size(),
                    submitted_.cancelled() ? progress{} : progress{known.size(), 0});
    for (auto const& r : ranks_) {
      r->log.append_by_start(all.timeline.events, r->rank, known.programs());
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
    detail::run_log log{};
    bool silent = false;
    std::vector<rank_id> noticed{};  // lost ranks of other processes
    std::exception_ptr failure{};
    std::thread thread{};
  };
  using streams = rank_streams<Api, system, Work>;

  static void judge(program const& p) {
    auto const d = find_dependencies(p);
    if (auto const order = serial_order(p, d); order.size() < p.instructions())
      detail::refuse_circle(p, order);
    demand_order(p, find_routes(p));
  }

  void start(std::size_t size) {
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
    for (auto& r : ranks_) r->thread = std::thread([this, &state = *r] { live(state); });
  }

  /// A rank's life. What it enqueued ends before its communicators, and these before its streams.
  void live(rank_state& self) {
    bool first = true;
    try {
      auto device = config_.systems(self.rank);
      auto net_config = config_.net;
      net_config.watch = [this] { watch(); };
      std::optional<streams> lists;  // outlives `net`
      if (config_.self && config_.meet) identity_ = config_.meet(members_);
      auto const net =
          std::make_unique<nccl_transport<Api>>(identity_, members_, self.rank, net_config);
      lists.emplace(device, *net, work_, first_iteration_, config_.floats, clock_.now());
      try {
        enqueue_all(self, *lists, *net);
        net->close();
        self.log = lists->log();
      } catch (...) {
        self.log = lists->log();
        first = !submitted_.cancelled();
        if (struck(self))
          fall_silent(self);
        else
          submitted_.cancel();
        lists->stop();
        net->abort();
        throw;
      }
    } catch (peer_lost const& e) {
      self.noticed.push_back(e.peer());
    } catch (run_aborted const&) {
      if (!self.silent && struck(self)) fall_silent(self);
    } catch (nccl_error const&) {  // what others have aborted is no failure of this rank
      if (first) self.failure = std::current_exception();
    } catch (...) {
      self.failure = std::current_exception();
    }
    if (self.failure || !self.noticed.empty()) submitted_.cancel();
  }

  /// Until the session is closed and everything has ended. Throws what goes wrong, and run_aborted
  /// where this rank falls silent.
  void enqueue_all(rank_state& self, streams& lists, nccl_transport<Api>& net) {
    std::size_t n = 0;
    for (;;) {
      auto const p = next(n, lists.outstanding() > 0);
      if (!p && lists.outstanding() == 0) return;
      if (!p) {
        advance(self, lists, net, [&] { return lists.outstanding() == 0 || submitted_.at(n); });
        continue;
      }
      auto const& own = (*p).ranks[self.rank];
      bool const fresh = n == 0 || submitted_.at(n - 1) != p;
      bool const makes = fresh && net.must_prepare(*p);
      advance(self, lists, net, [&] { return lists.outstanding() < (makes ? 1U : 2U); });
      if (fresh) lists.prepare(*p);
      auto const strike = detail::strike_of(config_.faults, *p, self.rank, lists.iteration());
      lists.enqueue(p, strike.value_or(static_cast<std::int32_t>(own.instructions.size())),
                    !strike);
      if (strike) {
        advance(self, lists, net, [&] { return lists.idle(); });
        throw run_aborted{};
      }
      ++n;
    }
  }

  /// Reads what ends until a condition holds. Throws nccl_error where nothing ends for too long.
  template <class Condition>
  void advance(rank_state& self, streams& lists, nccl_transport<Api>& net, Condition const& until) {
    auto last = std::chrono::steady_clock::now();
    for (detail::growing_pause pause;; pause()) {
      auto const before = lists.log().done().programs;
      bool const any = lists.harvest();
      for (auto k = before; k < lists.log().done().programs; ++k)
        submitted_.list_completed(k, ranks_.size(), clock_);
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

  /// The n-th program; nothing where there is none now, and there never will be or `impatient`.
  [[nodiscard]] std::shared_ptr<program const> next(std::size_t n, bool impatient) {
    auto p = impatient ? submitted_.at(n) : submitted_.next(n);
    if (submitted_.cancelled()) throw run_aborted{};
    return p;
  }

  /// Throws where this rank is to stop.
  void watch() {
    if (config_.net.watch) config_.net.watch();
    if (submitted_.cancelled()) throw run_aborted{};
  }
  /// Whether the rank has come to where it falls silent.
  [[nodiscard]] bool struck(rank_state const& self) const {
    auto const done = self.log.done();
    auto const p = submitted_.at(static_cast<std::size_t>(done.programs));
    return p &&
           detail::strike_of(config_.faults, *p, self.rank, first_iteration_ + done.programs) ==
               std::optional(done.instructions);
  }
  /// Says nothing; after a while the others give it up.
  void fall_silent(rank_state& self) {
    self.silent = true;
    submitted_.cancel_after(config_.timeout);
  }

  void join() {
    for (auto& r : ranks_)
      if (r->thread.joinable()) r->thread.join();
  }

  executor const config_;
  Work& work_;
  std::int64_t const first_iteration_;
  stopwatch const clock_{};
  typename Api::identity identity_{};
  std::vector<rank_id> members_{};
  std::vector<std::unique_ptr<rank_state>> ranks_{};
  detail::shared_submissions submitted_{};
};

}  // namespace shunt
