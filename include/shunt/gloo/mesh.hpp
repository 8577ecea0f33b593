#pragma once
/// Gloo as a transport: processes on one machine or many, each of which is one rank. The members of
/// an epoch meet in a shared directory and connect over TCP.
///
/// A peer whose connection closes (a crash, a kill) is lost at once; a peer without a heartbeat for
/// `silence` (stopped, or cut off) is lost then. No wait hangs. After a loss the mesh is of no more
/// use. Survivors agree on the members of the next epoch (membership.hpp) and make its mesh; the
/// old mesh stays up meanwhile and detects further losses.
/// See docs/engines.md.
#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <deque>
#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "shunt/core/id.hpp"
#include "shunt/execute/transport.hpp"
#include "shunt/gloo/config.hpp"
#include "shunt/gloo/detail/connections.hpp"
#include "shunt/gloo/detail/heartbeats.hpp"
#include "shunt/gloo/detail/host_platform.hpp"
#include "shunt/gloo/detail/rendezvous.hpp"

namespace shunt {

/// One rank's end of the mesh of one epoch; models `transport`. `send`, `receive` and `flush` come
/// from one thread at a time, all other members from any thread.
template <detail::platform Platform = detail::host_platform>
class basic_gloo_mesh {
 public:
  using clock = std::chrono::steady_clock;
  using first_loss = detail::first_loss;

  /// Meets the other members. All name the same epoch and members (ascending). Ranks keep their
  /// numbers from epoch to epoch. A member that `previous` (the mesh of the previous epoch) has
  /// lost and not forgiven is not waited for.
  /// Throws rendezvous_failed, naming the directory or the ranks that did not come in time, or
  /// where SIGPIPE is not ignored; std::invalid_argument where self is no member.
  basic_gloo_mesh(gloo_config config, std::int32_t epoch, std::vector<rank_id> members,
                  rank_id self, basic_gloo_mesh const* previous = nullptr)
      : config_(std::move(config)), members_(std::move(members)), self_(self) {
    if (index_of(self) == members_.size())
      throw std::invalid_argument("rank " + std::to_string(self.value()) +
                                  " is no member of its mesh");
    struct sigaction pipe{};
    if (sigaction(SIGPIPE, nullptr, &pipe) == 0 && pipe.sa_handler == SIG_DFL)
      throw rendezvous_failed("SIGPIPE would end this process when it writes to a dead peer: call "
                              "std::signal(SIGPIPE, SIG_IGN) first");
    connections_ = detail::rendezvous<Platform>(
        config_, epoch, members_, self_,
        [previous] { return previous ? previous->losses().ranks : std::vector<rank_id>{}; },
        previous != nullptr);
    beats_ = std::make_unique<heartbeats>(*connections_, members_, index_of(self_), config_.silence,
                                          [this] { return end_waits(); });
    collector_ = typename Platform::thread([this] { collect_sends(); });
  }
  basic_gloo_mesh(basic_gloo_mesh const&) = delete;
  basic_gloo_mesh& operator=(basic_gloo_mesh const&) = delete;
  /// Leaves at once; to the others this rank is lost, unless `close` was called.
  ~basic_gloo_mesh() {
    leave();
    collector_.join();
  }

  /// Leaves at once: no more heartbeats, and a pending wait throws run_aborted.
  void leave() {
    beats_->leave();
    collect_sends_.notify_all();
  }

  [[nodiscard]] rank_id rank() const { return self_; }
  [[nodiscard]] std::int32_t size() const { return static_cast<std::int32_t>(members_.size()); }
  [[nodiscard]] std::vector<rank_id> const& members() const { return members_; }

  /// Sends a copy of the bytes.
  /// Throws peer_lost, naming the first rank that was lost, whether or not it is `to`; run_aborted
  /// where only other members have lost one.
  void send(rank_id to, std::int32_t channel, std::span<std::byte const> out) {
    auto message = std::make_unique<detail::in_flight<Platform>>(out.size());
    if (!out.empty()) std::memcpy(message->bytes.get(), out.data(), out.size());
    std::size_t const peer = index_of(to);
    try {
      message->buffer = connections_->buffer(message->bytes.get(), out.size());
      message->buffer->send(static_cast<int>(peer), slot(channel));
    } catch (std::exception const&) {
      beats_->lose(peer);
    }
    std::lock_guard const lock(beats_->mutex());
    if (beats_->stopped()) unfinished_.push_back(std::move(message));  // it may still leave
    beats_->throw_if_stopped();
    outgoing_.push_back(std::move(message));
    if (outgoing_.size() == collected_together)
      collect_sends_
          .notify_one();  // not for every message: waking a thread costs more than sending
  }

  /// Waits for the next message.
  /// Throws peer_lost, naming the first rank that was lost, whether or not it is `from`;
  /// run_aborted where only other members have lost one.
  void receive(rank_id from, std::int32_t channel, std::span<std::byte> in) {
    std::size_t const peer = index_of(from);
    // A buffer of its own: a cancelled message may still arrive.
    auto message = std::make_unique<detail::in_flight<Platform>>(in.size());
    try {
      message->buffer = connections_->buffer(message->bytes.get(), in.size());
      {
        std::lock_guard const lock(beats_->mutex());
        beats_->throw_if_stopped();
        waiting_ = message->buffer.get();
      }
      message->buffer->recv(static_cast<int>(peer), slot(channel));
      bool const arrived = message->buffer->waitRecv(nullptr, heartbeats::forever);
      std::lock_guard const lock(beats_->mutex());
      waiting_ = nullptr;
      if (!arrived) {
        unfinished_.push_back(std::move(message));
        beats_->throw_if_stopped();
      } else if (!in.empty()) {
        std::memcpy(in.data(), message->bytes.get(), in.size());
      }
      beats_->heard(peer);
    } catch (peer_lost const&) {
      throw;
    } catch (run_aborted const&) {
      throw;
    } catch (std::exception const&) {
      {
        std::lock_guard const lock(beats_->mutex());
        waiting_ = nullptr;
      }
      beats_->lose(peer);
      std::lock_guard const lock(beats_->mutex());
      beats_->throw_if_stopped();
    }
  }

  /// Waits until all sent messages have left.
  /// Throws as `send`.
  void flush() {
    std::unique_lock lock(beats_->mutex());
    wait_for_sends(lock);
    beats_->throw_if_stopped();
  }

  /// Orderly shutdown: announces it and waits for every live peer's, so that a closed connection is
  /// not reported as a failure.
  void close() {
    {
      std::unique_lock lock(beats_->mutex());
      wait_for_sends(lock);
      beats_->begin_shutdown();
    }
    beats_->announce_shutdown();
  }

  /// Tells all peers a number, at least 0 and never less than before: for example the number of
  /// programs that this rank has completed.
  void publish(std::int64_t note) { beats_->publish(note); }
  /// Waits until every member has told at least this number, or one is lost to any member.
  /// Returns whether all have told it.
  [[nodiscard]] bool all_reached(std::int64_t note) const { return beats_->all_reached(note); }

  /// Returns the lost ranks, in the order in which this one noticed.
  [[nodiscard]] std::vector<rank_id> lost() const { return beats_->lost(); }
  /// Returns the lost ranks that are not forgiven, and which of them are merely silent.
  [[nodiscard]] known_losses losses() const { return beats_->losses(); }
  /// These ranks are members of the next epoch although this mesh has lost them: `losses` names
  /// them no more. Of their end this mesh hears nothing.
  void forgive(std::vector<rank_id> const& members) { beats_->forgive(members); }
  /// Returns whether no rank is lost, to this rank or to one that has said so.
  [[nodiscard]] bool whole() const { return beats_->whole(); }
  /// Returns when the first loss was noticed, or nothing.
  [[nodiscard]] std::optional<first_loss> when_lost() const { return beats_->when_lost(); }

 private:
  using heartbeats = detail::heartbeats<Platform>;
  using unbound = typename Platform::connections::message;

  static constexpr std::size_t collected_together = 64;

  [[nodiscard]] static std::uint64_t slot(std::int32_t channel) {
    return static_cast<std::uint32_t>(channel);
  }
  [[nodiscard]] std::size_t index_of(rank_id r) const {
    return static_cast<std::size_t>(std::find(members_.begin(), members_.end(), r) -
                                    members_.begin());
  }

  /// Waits until all sent messages have left, or the mesh has stopped.
  /// Requires the lock.
  void wait_for_sends(std::unique_lock<typename Platform::mutex>& lock) {
    flushing_ = !outgoing_.empty();
    collect_sends_.notify_one();
    beats_->changed().wait(lock,
                           [&] { return (outgoing_.empty() && !sending_) || beats_->stopped(); });
  }

  /// Aborts this rank's pending waits on messages.
  /// Returns whether there are any.
  /// Requires the lock.
  bool end_waits() {
    if (waiting_) waiting_->abortWaitRecv();
    if (sending_) sending_->abortWaitSend();
    return waiting_ || sending_;
  }

  /// Thread body: keeps each sent message until it has left.
  void collect_sends() {
    std::unique_lock lock(beats_->mutex());
    for (;;) {
      if (outgoing_.empty()) flushing_ = false, beats_->changed().notify_all();
      collect_sends_.wait(lock, [&] {
        return beats_->over() ||
               (!beats_->stopped() && (outgoing_.size() >= collected_together || flushing_));
      });
      if (beats_->over()) return;
      auto oldest = std::move(outgoing_.front());
      outgoing_.pop_front();
      sending_ = oldest->buffer.get();
      bool sent = false;
      lock.unlock();
      try {
        sent = oldest->buffer->waitSend(nullptr, heartbeats::forever);
      } catch (std::exception const&) {  // its peer is lost; the thread that listens to it notices
      }
      lock.lock();
      sending_ = nullptr;
      if (!sent) unfinished_.push_back(std::move(oldest));
    }
  }

  gloo_config const config_;
  std::vector<rank_id> const members_;
  rank_id const self_;
  std::unique_ptr<typename Platform::connections const> connections_{};

  // Guarded by the mutex of beats_.
  typename Platform::condition collect_sends_{};
  std::deque<std::unique_ptr<detail::in_flight<Platform>>> outgoing_{};
  std::vector<std::unique_ptr<detail::in_flight<Platform>>> unfinished_{};  // after a loss
  unbound* waiting_ = nullptr;
  unbound* sending_ = nullptr;
  bool flushing_ = false;

  std::unique_ptr<heartbeats> beats_{};
  typename Platform::thread collector_{};
};

/// The mesh of processes.
using gloo_mesh = basic_gloo_mesh<>;
static_assert(transport<gloo_mesh>);

}  // namespace shunt
