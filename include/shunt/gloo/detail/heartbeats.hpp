#pragma once
/// Failure detection of one member of a mesh: it sends heartbeats to its peers and listens to
/// theirs. A peer is lost where its connection closes or its heartbeats stop. One thread a peer
/// listens, one thread sends.
/// See docs/engines.md.
#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <deque>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include <gloo/transport/unbound_buffer.h>

#include "shunt/core/id.hpp"
#include "shunt/execute/transport.hpp"
#include "shunt/gloo/detail/connections.hpp"

namespace shunt::detail {

/// A message that Gloo was asked to send or receive. It must stay until that is done, even where
/// the caller stopped waiting: Gloo stops a connection at an operation whose buffer is gone.
struct in_flight {
  explicit in_flight(std::size_t size) : bytes(std::make_unique_for_overwrite<std::byte[]>(size)) {}
  std::unique_ptr<std::byte[]> bytes;
  std::unique_ptr<::gloo::transport::UnboundBuffer> buffer{};
};

/// The first loss that a member noticed.
struct first_loss {
  std::chrono::steady_clock::time_point heard{};    ///< the peer's last sign of life
  std::chrono::steady_clock::time_point noticed{};  ///< when this rank took it for lost
};

/// What one member knows of its peers. Every member function may be called from any thread. Those
/// that say so require `mutex()` to be held.
class heartbeats {
 public:
  using clock = std::chrono::steady_clock;

  static constexpr auto forever = std::chrono::hours{24 * 365};

  /// Starts as member `self` (an index) of `members`. A peer without a heartbeat for `silence` is
  /// lost. `end_waits` aborts the caller's pending waits on messages and returns whether there were
  /// any; it is called with `mutex()` held, after a loss and at the end.
  heartbeats(connections const& network, std::vector<rank_id> members, std::size_t self,
             std::chrono::milliseconds silence, std::function<bool()> end_waits)
      : network_(network),
        members_(std::move(members)),
        self_(self),
        silence_(silence),
        end_message_waits_(std::move(end_waits)),
        peers_(members_.size()) {
    for (std::size_t i = 0; i < peers_.size(); ++i) {
      peers_[i].heard = clock::now();
      peers_[i].there = i != self_;
    }
    for (std::size_t i = 0; i < peers_.size(); ++i)
      if (i != self_) threads_.emplace_back([this, i] { listen(i); });
    threads_.emplace_back([this] { beat(); });
  }
  heartbeats(heartbeats const&) = delete;
  heartbeats& operator=(heartbeats const&) = delete;
  /// Leaves, and joins the threads.
  ~heartbeats() {
    leave();
    for (auto& t : threads_) t.join();
  }

  /// Guards everything here, and what the owner shares with `end_waits`.
  [[nodiscard]] std::mutex& mutex() const { return mutex_; }
  /// Notified after every change.
  [[nodiscard]] std::condition_variable& changed() const { return changed_; }

  /// Returns whether a peer is lost, to this rank or another, or this rank has left.
  /// Requires mutex().
  [[nodiscard]] bool stopped() const { return !lost_.empty() || cancelled_ || over_; }
  /// Returns whether this rank has left.
  /// Requires mutex().
  [[nodiscard]] bool over() const { return over_; }
  /// Throws peer_lost, naming the peer that was lost first; run_aborted where only other members
  /// have lost one, or this rank has left.
  /// Requires mutex().
  void throw_if_stopped() const {
    if (!lost_.empty()) throw peer_lost(lost_.front());
    if (cancelled_ || over_) throw run_aborted();
  }
  /// Notes a sign of life of a peer.
  /// Requires mutex().
  void heard(std::size_t peer) { peers_[peer].heard = clock::now(); }

  /// Takes a peer for lost. After `announce_shutdown` has begun, the end of a peer is no loss, even
  /// if its own announcement was overtaken.
  void lose(std::size_t peer) {
    {
      std::lock_guard const lock(mutex_);
      if (!peers_[peer].there || over_) return;
      peers_[peer].there = false;
      if (!leaving_) lost_.push_back(members_[peer]);
      if (!leaving_ && !when_lost_) when_lost_ = {peers_[peer].heard, clock::now()};
      end_waits();
    }
    changed_.notify_all();
  }

  /// Stops at once: no more heartbeats, and all waits end.
  void leave() {
    {
      std::lock_guard const lock(mutex_);
      over_ = true;
      end_waits();
    }
    changed_.notify_all();
  }
  /// From now on the end of a peer is no loss.
  /// Requires mutex().
  void begin_shutdown() { leaving_ = true; }
  /// Announces the end and waits until every peer has announced its own or is lost.
  void announce_shutdown() {
    changed_.notify_all();
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] {
      return over_ || (shutdown_sent_ && std::none_of(peers_.begin(), peers_.end(),
                                                      [](neighbour const& p) { return p.there; }));
    });
  }

  /// Tells all peers a number, at least 0 and never less than before.
  void publish(std::int64_t note) {
    {
      std::lock_guard const lock(mutex_);
      note_ = std::max(note_, note);
    }
    changed_.notify_all();
  }
  /// Waits until every member has told at least this number, or one is lost to any member.
  /// Returns whether all have told it.
  [[nodiscard]] bool all_reached(std::int64_t note) const {
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

  /// Returns the lost ranks, in the order in which this rank noticed.
  [[nodiscard]] std::vector<rank_id> lost() const {
    std::lock_guard const lock(mutex_);
    return lost_;
  }
  /// Returns whether no rank is lost, to this rank or to one that has said so.
  [[nodiscard]] bool whole() const {
    std::lock_guard const lock(mutex_);
    return !stopped();
  }
  /// Returns when the first loss was noticed, or nothing.
  [[nodiscard]] std::optional<first_loss> when_lost() const {
    std::lock_guard const lock(mutex_);
    return when_lost_;
  }

 private:
  using unbound = ::gloo::transport::UnboundBuffer;

  static constexpr std::uint64_t heartbeat_slot = std::uint64_t{1} << 40;
  // Any other heartbeat is its sender's note.
  static constexpr std::int64_t shutdown_beat = -1, loss_beat = -2;
  static constexpr std::size_t most_unread = 64;

  struct heartbeat {
    std::int64_t what = 0;
    std::int64_t read = 0;  // number of the receiver's heartbeats that its sender has received
  };
  struct neighbour {
    bool there = false;  // neither lost nor gone
    std::int64_t note = 0;
    std::int64_t beats = 0;       // heartbeats received from it
    std::int64_t read_there = 0;  // heartbeats of this rank that it has received
    clock::time_point heard{};
    unbound* heartbeat_buffer = nullptr;
  };

  /// Aborts pending Gloo waits that cannot complete. `rest` repeats it, since Gloo drops an abort
  /// that comes just before its wait.
  /// Returns whether any is pending.
  /// Requires mutex().
  bool end_waits() {
    bool any = false;
    for (auto& p : peers_)
      if ((over_ || !p.there) && p.heartbeat_buffer) {
        p.heartbeat_buffer->abortWaitRecv();
        any = true;
      }
    if (stopped() && end_message_waits_()) any = true;
    return any;
  }
  /// Waits until a time, or until this rank has left or `other()` is true.
  /// Requires mutex().
  template <class Other>
  void rest(std::unique_lock<std::mutex>& lock, clock::time_point until, Other const& other) {
    constexpr std::chrono::milliseconds soon{5};
    while (!over_ && !other() && clock::now() < until)
      changed_.wait_until(lock, end_waits() ? std::min(until, clock::now() + soon) : until);
    while (over_ && end_waits()) changed_.wait_for(lock, soon);
  }

  /// Thread body: receives one peer's heartbeats until its shutdown or its loss.
  void listen(std::size_t i) {
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
        peers_[i].heard = clock::now();
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
      if (beat.what == shutdown_beat) peers_[i].there = false;
    } catch (std::exception const&) {
      {
        std::lock_guard const lock(mutex_);
        peers_[i].heartbeat_buffer = nullptr;
      }
      lose(i);
    }
    changed_.notify_all();
  }

  /// Thread body: sends heartbeats, and detects peers that send none.
  void beat() {
    std::vector<std::deque<in_flight>> unread(members_.size());
    std::vector<std::int64_t> read(members_.size(), 0);  // heartbeats that are no longer kept
    auto const publish = [&](std::int64_t what, bool wait_for_readers = false) {
      for (std::size_t i = 0; i < members_.size(); ++i) {
        heartbeat beat{.what = what};
        {
          std::lock_guard const lock(mutex_);
          if (!peers_[i].there) continue;
          beat.read = peers_[i].beats;
          for (; read[i] < peers_[i].read_there; ++read[i]) unread[i].pop_front();
        }
        if (wait_for_readers && unread[i].size() >= most_unread)
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
    auto next = clock::now();
    std::int64_t sent_note = 0;
    bool reported = false;
    for (;;) {
      bool const due = clock::now() >= next;
      publish(sent_note, !due);
      if (due) next = clock::now() + silence_ / 4;
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
      auto const now = clock::now();
      std::vector<std::size_t> silent;
      for (std::size_t i = 0; i < peers_.size(); ++i)
        if (peers_[i].there && now - peers_[i].heard > silence_) silent.push_back(i);
      lock.unlock();
      for (std::size_t const i : silent) lose(i);
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
      rest(lock, clock::now() + silence_ / 4, [] { return false; });
      if (over_) return;
      auto const now = clock::now();
      for (std::size_t i = 0; i < peers_.size(); ++i)
        if (peers_[i].there && now - peers_[i].heard > silence_) {
          lock.unlock();
          lose(i);
          lock.lock();
        }
    }
  }

  connections const& network_;
  std::vector<rank_id> const members_;
  std::size_t const self_;
  std::chrono::milliseconds const silence_;
  std::function<bool()> const end_message_waits_;

  std::mutex mutable mutex_{};  // guards all below
  std::condition_variable mutable changed_{};
  std::int64_t note_ = 0;
  std::vector<neighbour> peers_;
  std::vector<rank_id> lost_{};
  std::optional<first_loss> when_lost_{};
  bool leaving_ = false, shutdown_sent_ = false, over_ = false;
  bool cancelled_ = false;  // another member has lost a peer

  std::vector<std::thread> threads_{};
};

}  // namespace shunt::detail
