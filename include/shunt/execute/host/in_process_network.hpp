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
#include <utility>
#include <vector>

#include "shunt/core/id.hpp"
#include "shunt/execute/transport.hpp"

namespace shunt {

/// A network inside one process: a queue for every (sender, receiver, channel), and a heartbeat for
/// every rank.
///
/// A heartbeat beats by itself until `mark_failed`; `timeout` after that, whoever waits for the
/// silent rank learns that it is lost. Waiting for a live rank never times out, however long it
/// takes. `cancel(e)` ends the waiting of everybody in epochs up to e. Every message carries its
/// sender's epoch: older ones than the receiver's are dropped, so that a rank wrongly believed dead
/// can't disturb those who went on without it. Sends are buffered; buffers are used again, so that
/// the steady state allocates nothing.
class in_process_network {
 public:
  using clock = std::chrono::steady_clock;

  explicit in_process_network(std::int32_t ranks,
                              std::chrono::milliseconds timeout = std::chrono::milliseconds{50});

  /// One rank's end; models `transport`. It throws run_aborted once its epoch was called off or its
  /// peer is in a newer one, and invalid_program where a message has another size than awaited or
  /// the peer closed without sending it.
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

  [[nodiscard]] endpoint at(rank_id rank, std::int32_t epoch = 0) { return {*this, rank, epoch}; }
  [[nodiscard]] std::chrono::milliseconds timeout() const { return timeout_; }

  /// The heartbeat of a rank stops now.
  void mark_failed(rank_id rank);
  void cancel(std::int32_t epoch = 0);
  [[nodiscard]] bool cancelled(std::int32_t epoch = 0) const;

 private:
  static constexpr int yields = 8;  // before a receiver goes to sleep: being woken costs more than
                                    // the answer of a peer that runs

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
    std::map<std::pair<rank_id, std::int32_t>, queue>
        queues{};  // by (sender, channel); addresses of queues are stable
  };
  struct peer {
    static constexpr clock::rep beating = std::numeric_limits<clock::rep>::max();
    std::atomic<clock::rep> silent_since{beating};
    std::atomic<bool> closed{false};
  };

  void send(endpoint const& from, rank_id to, std::int32_t channel, std::span<std::byte const> out);

  void receive(endpoint const& at, rank_id from, std::int32_t channel, std::span<std::byte> in);

  void close(rank_id rank);

  /// Taking each mutex first makes sure that nobody is between looking at a flag and going to
  /// sleep.
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
