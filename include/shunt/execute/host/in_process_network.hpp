#pragma once
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <list>
#include <map>
#include <mutex>
#include <span>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "shunt/core/error.hpp"
#include "shunt/execute/transport.hpp"

namespace shunt {

/// A network inside one process: a queue for every (sender, receiver, channel), and a heartbeat for
/// every rank. All members may be called from any thread.
///
/// A heartbeat beats by itself until `mark_failed`. `timeout` after that, a receive from the failed
/// rank throws peer_lost. A receive from a live rank never times out. `cancel(e)` ends all waits
/// in epochs up to e. Every message carries its sender's epoch. Messages older than the receiver's
/// epoch are dropped, so a rank wrongly taken for dead cannot disturb the survivors. Sends are
/// buffered. Buffers are reused: the steady state allocates nothing.
class in_process_network {
 public:
  using clock = std::chrono::steady_clock;

  /// A network of so many ranks. `timeout` is the silence after which a failed rank is lost.
  explicit in_process_network(std::int32_t ranks,
                              std::chrono::milliseconds timeout = std::chrono::milliseconds{50})
      : timeout_(timeout),
        boxes_(static_cast<std::size_t>(ranks)),
        peers_(static_cast<std::size_t>(ranks)) {}

  /// One rank's end; models `transport`. `send` and `receive` throw run_aborted after the epoch was
  /// cancelled; `receive` also where the peer is in a newer epoch. `receive` throws invalid_program
  /// where a message has another size than expected, or the peer closed without sending it.
  class endpoint {
   public:
    endpoint(in_process_network& net, rank_id self, std::int32_t epoch)
        : net_(&net), self_(self), epoch_(epoch) {}

    [[nodiscard]] rank_id rank() const { return self_; }
    [[nodiscard]] std::int32_t size() const {
      return static_cast<std::int32_t>(net_->boxes_.size());
    }
    void send(rank_id to, std::int32_t channel, std::span<std::byte const> out) {
      net_->send(*this, to, channel, out);
    }
    void receive(rank_id from, std::int32_t channel, std::span<std::byte> in) {
      net_->receive(*this, from, channel, in);
    }
    void flush() {}
    void close() { net_->close(self_); }

   private:
    friend class in_process_network;
    in_process_network* net_;
    rank_id self_;
    std::int32_t epoch_;
  };

  /// Returns the end of a rank in an epoch.
  [[nodiscard]] endpoint at(rank_id rank, std::int32_t epoch = 0) { return {*this, rank, epoch}; }
  [[nodiscard]] std::chrono::milliseconds timeout() const { return timeout_; }

  /// Stops the heartbeat of a rank.
  void mark_failed(rank_id rank) {
    peers_[rank.index()].silent_since.store(clock::now().time_since_epoch().count(),
                                            std::memory_order_release);
    wake_all();
  }
  /// Cancels all epochs up to this one.
  void cancel(std::int32_t epoch = 0) {
    auto known = cancelled_.load(std::memory_order_acquire);
    while (known < epoch &&
           !cancelled_.compare_exchange_weak(known, epoch, std::memory_order_acq_rel)) {}
    wake_all();
  }
  /// Returns whether an epoch was cancelled.
  [[nodiscard]] bool cancelled(std::int32_t epoch = 0) const {
    return cancelled_.load(std::memory_order_acquire) >= epoch;
  }

 private:
  // Yields before a receiver sleeps: waking it costs more than the answer of a running peer takes.
  static constexpr int yields = 8;

  struct message {
    std::int32_t epoch = 0;
    std::vector<std::byte> bytes{};
  };
  struct queue {
    std::list<message> waiting{};
    std::list<message> unused{};
  };
  struct inbox {
    std::mutex mutex{};
    std::condition_variable arrived{};
    // By (sender, channel). Addresses of queues are stable.
    std::map<std::pair<rank_id, std::int32_t>, queue> queues{};
  };
  struct peer {
    static constexpr clock::rep beating = std::numeric_limits<clock::rep>::max();
    std::atomic<clock::rep> silent_since{beating};
    std::atomic<bool> closed{false};
  };

  void send(endpoint const& from, rank_id to, std::int32_t channel,
            std::span<std::byte const> out) {
    if (cancelled(from.epoch_)) throw run_aborted{};
    auto& box = boxes_.at(to.index());
    std::list<message> parcel;
    std::unique_lock lock(box.mutex);
    auto& q = box.queues[{from.self_, channel}];
    if (q.unused.empty())
      parcel.emplace_back();
    else
      parcel.splice(parcel.begin(), q.unused, q.unused.begin());
    lock.unlock();  // the inbox is free while bytes are copied: the queue has one sender
    parcel.front().epoch = from.epoch_;
    parcel.front().bytes.assign(out.begin(), out.end());
    lock.lock();
    q.waiting.splice(q.waiting.end(), parcel);
    lock.unlock();
    box.arrived.notify_one();
  }

  void receive(endpoint const& at, rank_id from, std::int32_t channel, std::span<std::byte> in) {
    auto& box = boxes_[at.self_.index()];
    auto& sender = peers_.at(from.index());
    std::unique_lock lock(box.mutex);
    auto& q = box.queues[{from, channel}];
    for (int n = 0; n < yields && q.waiting.empty(); ++n) {
      lock.unlock();
      std::this_thread::yield();
      lock.lock();
    }
    for (;;) {
      if (cancelled(at.epoch_)) throw run_aborted{};
      while (!q.waiting.empty() && q.waiting.front().epoch < at.epoch_)
        q.unused.splice(q.unused.begin(), q.waiting, q.waiting.begin());
      if (!q.waiting.empty()) break;
      if (auto const since = sender.silent_since.load(std::memory_order_acquire);
          since != peer::beating) {
        auto const deadline = clock::time_point(clock::duration(since)) + timeout_;
        if (clock::now() >= deadline) throw peer_lost(from);
        box.arrived.wait_until(lock, deadline);
      } else if (sender.closed.load(std::memory_order_acquire)) {
        if (cancelled(at.epoch_)) throw run_aborted{};  // the reason why it closed
        throw invalid_program(name(from, at.self_, channel) + " was never sent");
      } else {
        box.arrived.wait(lock);
      }
    }
    if (q.waiting.front().epoch > at.epoch_) throw run_aborted{};
    std::list<message> parcel;
    parcel.splice(parcel.begin(), q.waiting, q.waiting.begin());
    lock.unlock();
    auto const& bytes = parcel.front().bytes;
    bool const fits = bytes.size() == in.size();
    if (!fits)
      throw invalid_program(name(from, at.self_, channel) + " has " + std::to_string(bytes.size()) +
                            " bytes, not " + std::to_string(in.size()));
    if (!bytes.empty()) std::memcpy(in.data(), bytes.data(), bytes.size());
    lock.lock();
    q.unused.splice(q.unused.begin(), parcel);
  }

  void close(rank_id rank) {
    peers_[rank.index()].closed.store(true, std::memory_order_release);
    wake_all();
  }

  /// Wakes all receivers. Each mutex is taken first, so that no receiver is between its check of a
  /// flag and its sleep.
  void wake_all() {
    for (auto& box : boxes_) {
      {
        std::lock_guard const lock(box.mutex);
      }
      box.arrived.notify_all();
    }
  }

  [[nodiscard]] static std::string name(rank_id from, rank_id to, std::int32_t channel) {
    return "the message from rank " + std::to_string(from.value()) + " to rank " +
           std::to_string(to.value()) + " on channel " + std::to_string(channel);
  }

  std::chrono::milliseconds timeout_;
  std::vector<inbox> boxes_;
  std::vector<peer> peers_;
  std::atomic<std::int32_t> cancelled_{-1};
};

static_assert(transport<in_process_network::endpoint>);

}  // namespace shunt
