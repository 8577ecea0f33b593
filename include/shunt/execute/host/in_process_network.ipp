#pragma once
#include "shunt/execute/host/in_process_network.hpp"

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

#include "shunt/core/config.hpp"
#include "shunt/core/error.hpp"
#include "shunt/execute/transport.hpp"

namespace shunt {

struct in_process_network::message {
  std::int32_t epoch = 0;
  std::vector<std::byte> bytes{};
};

struct in_process_network::queue {
  std::list<message> waiting{};
  std::list<message> unused{};
};

struct in_process_network::inbox {
  std::mutex mutex{};
  std::condition_variable arrived{};
  // By (sender, channel). Addresses of queues are stable.
  std::map<std::pair<rank_id, std::int32_t>, queue> queues{};
};

struct in_process_network::peer {
  static constexpr clock::rep beating = std::numeric_limits<clock::rep>::max();
  std::atomic<clock::rep> silent_since{beating};
  std::atomic<bool> closed{false};
};

SHUNT_INLINE in_process_network::in_process_network(std::int32_t ranks,
                                                    std::chrono::milliseconds timeout)
    : timeout_(timeout),
      boxes_(static_cast<std::size_t>(ranks)),
      peers_(static_cast<std::size_t>(ranks)) {}

SHUNT_INLINE in_process_network::~in_process_network() = default;

SHUNT_INLINE std::int32_t in_process_network::endpoint::size() const {
  return static_cast<std::int32_t>(net_->boxes_.size());
}

SHUNT_INLINE void in_process_network::endpoint::send(rank_id to, std::int32_t channel,
                                                     std::span<std::byte const> out) {
  net_->send(*this, to, channel, out);
}

SHUNT_INLINE void in_process_network::endpoint::receive(rank_id from, std::int32_t channel,
                                                        std::span<std::byte> in) {
  net_->receive(*this, from, channel, in);
}

SHUNT_INLINE void in_process_network::mark_failed(rank_id rank) {
  peers_[rank.index()].silent_since.store(clock::now().time_since_epoch().count(),
                                          std::memory_order_release);
  wake_all();
}

SHUNT_INLINE void in_process_network::cancel(std::int32_t epoch) {
  auto known = cancelled_.load(std::memory_order_acquire);
  while (known < epoch &&
         !cancelled_.compare_exchange_weak(known, epoch, std::memory_order_acq_rel)) {}
  wake_all();
}

SHUNT_INLINE bool in_process_network::cancelled(std::int32_t epoch) const {
  return cancelled_.load(std::memory_order_acquire) >= epoch;
}

SHUNT_INLINE void in_process_network::send(endpoint const& from, rank_id to, std::int32_t channel,
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

SHUNT_INLINE void in_process_network::receive(endpoint const& at, rank_id from,
                                              std::int32_t channel, std::span<std::byte> in) {
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

SHUNT_INLINE void in_process_network::close(rank_id rank) {
  peers_[rank.index()].closed.store(true, std::memory_order_release);
  wake_all();
}

SHUNT_INLINE void in_process_network::wake_all() {
  for (auto& box : boxes_) {
    {
      std::lock_guard const lock(box.mutex);
    }
    box.arrived.notify_all();
  }
}

SHUNT_INLINE std::string in_process_network::name(rank_id from, rank_id to, std::int32_t channel) {
  return "the message from rank " + std::to_string(from.value()) + " to rank " +
         std::to_string(to.value()) + " on channel " + std::to_string(channel);
}

}  // namespace shunt
