#pragma once
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

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
                              std::chrono::milliseconds timeout = std::chrono::milliseconds{50});
  ~in_process_network();

  /// One rank's end; models `transport`. `send` and `receive` throw run_aborted after the epoch was
  /// cancelled; `receive` also where the peer is in a newer epoch. `receive` throws invalid_program
  /// where a message has another size than expected, or the peer closed without sending it.
  class endpoint {
   public:
    endpoint(in_process_network& net, rank_id self, std::int32_t epoch)
        : net_(&net), self_(self), epoch_(epoch) {}

    [[nodiscard]] rank_id rank() const { return self_; }
    [[nodiscard]] std::int32_t size() const;
    void send(rank_id to, std::int32_t channel, std::span<std::byte const> out);
    void receive(rank_id from, std::int32_t channel, std::span<std::byte> in);
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
  void mark_failed(rank_id rank);
  /// Cancels all epochs up to this one.
  void cancel(std::int32_t epoch = 0);
  /// Returns whether an epoch was cancelled.
  [[nodiscard]] bool cancelled(std::int32_t epoch = 0) const;

 private:
  // Yields before a receiver sleeps: waking it costs more than the answer of a running peer takes.
  static constexpr int yields = 8;

  struct message;
  struct queue;
  struct inbox;
  struct peer;

  void send(endpoint const& from, rank_id to, std::int32_t channel, std::span<std::byte const> out);

  void receive(endpoint const& at, rank_id from, std::int32_t channel, std::span<std::byte> in);

  void close(rank_id rank);

  /// Wakes all receivers. Each mutex is taken first, so that no receiver is between its check of a
  /// flag and its sleep.
  void wake_all();

  [[nodiscard]] static std::string name(rank_id from, rank_id to, std::int32_t channel);

  std::chrono::milliseconds timeout_;
  std::vector<inbox> boxes_;
  std::vector<peer> peers_;
  std::atomic<std::int32_t> cancelled_{-1};
};

static_assert(transport<in_process_network::endpoint>);

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/execute/host/in_process_network.ipp"
#endif
