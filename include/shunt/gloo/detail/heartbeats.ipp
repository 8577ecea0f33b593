#pragma once
#include "shunt/gloo/detail/heartbeats.hpp"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <deque>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

namespace shunt::detail {

template <platform Platform>
heartbeats<Platform>::heartbeats(connections const& network, std::vector<rank_id> members,
                                 std::size_t self, std::chrono::milliseconds silence,
                                 std::function<bool()> end_waits)
    : network_(network),
      members_(std::move(members)),
      self_(self),
      silence_(silence),
      end_message_waits_(std::move(end_waits)),
      peers_(members_.size()) {
  for (std::size_t i = 0; i < peers_.size(); ++i) {
    peers_[i].heard = Platform::now();
    peers_[i].there = i != self_;
    peers_[i].closed = i == self_;
  }
  for (std::size_t i = 0; i < peers_.size(); ++i)
    if (i != self_) threads_.emplace_back([this, i] { listen(i); });
  threads_.emplace_back([this] { beat(); });
}

template <platform Platform>
void heartbeats<Platform>::lose(std::size_t peer, bool silent) {
  {
    std::lock_guard const lock(mutex_);
    peers_[peer].closed = peers_[peer].closed || !silent;
    if (!peers_[peer].there || over_) return;
    peers_[peer].there = false;
    if (!leaving_) lost_.push_back(members_[peer]);
    if (!leaving_ && silent) silent_.push_back(members_[peer]);
    if (!leaving_ && !when_lost_) when_lost_ = {peers_[peer].heard, Platform::now()};
    end_waits();
  }
  changed_.notify_all();
}

template <platform Platform>
void heartbeats<Platform>::forgive(std::vector<rank_id> const& members) {
  std::lock_guard const lock(mutex_);
  forgiven_.insert(forgiven_.end(), members.begin(), members.end());
}

template <platform Platform>
known_losses heartbeats<Platform>::losses() const {
  std::lock_guard const lock(mutex_);
  known_losses all{lost_, silent_, {}};
  for (auto* const ranks : {&all.ranks, &all.silent})
    std::erase_if(*ranks, [&](rank_id r) {
      return std::find(forgiven_.begin(), forgiven_.end(), r) != forgiven_.end();
    });
  auto const now = Platform::now();
  for (std::size_t i = 0; i < peers_.size(); ++i)
    if (i != self_ && (peers_[i].closed || now - peers_[i].heard > silence_ / 2) &&
        std::find(all.ranks.begin(), all.ranks.end(), members_[i]) == all.ranks.end())
      all.quiet.push_back(members_[i]);
  return all;
}

template <platform Platform>
void heartbeats<Platform>::announce_shutdown() {
  changed_.notify_all();
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] {
    return over_ || (shutdown_sent_ && std::none_of(peers_.begin(), peers_.end(),
                                                    [](neighbour const& p) { return p.there; }));
  });
}

template <platform Platform>
bool heartbeats<Platform>::all_reached(std::int64_t note) const {
  std::unique_lock lock(mutex_);
  bool all = false;
  changed_.wait(lock, [&] {
    all = note_ >= note;
    for (std::size_t i = 0; i < peers_.size(); ++i)
      all = all && (i == self_ || peers_[i].note >= note);
    return all || stopped();
  });
  return all;
}

template <platform Platform>
bool heartbeats<Platform>::end_waits() {
  bool any = false;
  for (auto& p : peers_)
    if ((over_ || p.closed) && p.heartbeat_buffer) {
      p.heartbeat_buffer->abortWaitRecv();
      any = true;
    }
  if (stopped() && end_message_waits_()) any = true;
  return any;
}

template <platform Platform>
void heartbeats<Platform>::listen(std::size_t i) {
  heartbeat beat;
  std::unique_ptr<unbound> heartbeat_buffer;  // outlives `peers_[i].heartbeat_buffer`
  try {
    heartbeat_buffer = network_.buffer(&beat, sizeof beat);
    {
      std::lock_guard const lock(mutex_);
      if (over_) return;
      peers_[i].heartbeat_buffer = heartbeat_buffer.get();
    }
    while (beat.what != shutdown_beat) {
      heartbeat_buffer->recv(static_cast<int>(i), heartbeat_slot);
      bool const arrived = heartbeat_buffer->waitRecv(nullptr, forever);
      std::lock_guard const lock(mutex_);
      if (!arrived || over_) break;
      peers_[i].heard = Platform::now();
      ++peers_[i].beats;
      peers_[i].read_there = beat.read;
      if (beat.what == loss_beat && !cancelled_) {
        cancelled_ = true;
        end_waits();
        changed_.notify_all();
      }
      if (beat.what > peers_[i].note) {
        peers_[i].note = beat.what;
        changed_.notify_all();
      }
    }
    std::lock_guard const lock(mutex_);
    peers_[i].heartbeat_buffer = nullptr;
    if (beat.what == shutdown_beat) peers_[i].there = false, peers_[i].closed = true;
  } catch (std::exception const&) {
    {
      std::lock_guard const lock(mutex_);
      peers_[i].heartbeat_buffer = nullptr;
    }
    lose(i);
  }
  changed_.notify_all();
}

template <platform Platform>
void heartbeats<Platform>::beat() {
  std::vector<std::deque<sent_beat>> unread(members_.size());
  std::vector<std::int64_t> read(members_.size(), 0);  // heartbeats that are no longer kept
  auto const publish = [&](std::int64_t what, bool wait_for_readers = false) {
    for (std::size_t i = 0; i < members_.size(); ++i) {
      heartbeat beat{.what = what};
      bool patient = wait_for_readers;
      {
        std::lock_guard const lock(mutex_);
        if (peers_[i].closed) continue;
        patient = patient || !peers_[i].there;
        beat.read = peers_[i].beats;
        for (; read[i] < peers_[i].read_there; ++read[i]) unread[i].pop_front();
      }
      if (patient && unread[i].size() >= most_unread)
        continue;  // the next regular heartbeat tells it
      try {
        auto& last = unread[i].emplace_back(sizeof beat);
        std::memcpy(last.bytes.get(), &beat, sizeof beat);
        last.buffer = network_.buffer(last.bytes.get(), sizeof beat);
        last.buffer->send(static_cast<int>(i), heartbeat_slot);
      } catch (std::exception const&) {
        lose(i);
      }
    }
  };
  auto next = Platform::now();
  std::int64_t sent_note = 0;
  bool reported = false;
  for (;;) {
    bool const due = Platform::now() >= next;
    publish(sent_note, !due);
    if (due) next = Platform::now() + silence_ / 4;
    std::unique_lock lock(mutex_);
    auto const must_report = [&] { return !reported && (cancelled_ || !lost_.empty()); };
    rest(lock, next, [&] { return leaving_ || note_ > sent_note || must_report(); });
    if (over_) return;
    if (leaving_) break;
    sent_note = note_;
    if (must_report()) {
      reported = true;
      lock.unlock();
      publish(loss_beat);
      lock.lock();
    }
    lock.unlock();
    lose_silent();
  }
  publish(shutdown_beat);
  for (auto& mine : unread)
    if (!mine.empty()) try {
        mine.back().buffer->waitSend(nullptr, silence_);
      } catch (std::exception const&) {  // the peer is lost and needs no announcement
      }
  std::unique_lock lock(mutex_);
  shutdown_sent_ = true;
  for (;;) {  // peers may still fail until their own shutdown
    changed_.notify_all();
    rest(lock, Platform::now() + silence_ / 4, [] { return false; });
    if (over_) return;
    lock.unlock();
    lose_silent();
    lock.lock();
  }
}

template <platform Platform>
void heartbeats<Platform>::lose_silent() {
  std::vector<std::size_t> silent;
  {
    std::lock_guard const lock(mutex_);
    auto const now = Platform::now();
    bool const stood_still = now - std::exchange(looked_, now) > silence_ / 2;
    for (std::size_t i = 0; i < peers_.size(); ++i)
      if (stood_still)
        peers_[i].heard = now;
      else if (peers_[i].there && now - peers_[i].heard > (peers_[i].beats ? 1 : 2) * silence_)
        silent.push_back(i);  // the first heartbeat may take longer: members start one by one
  }
  for (std::size_t const i : silent) lose(i, true);
}

}  // namespace shunt::detail
