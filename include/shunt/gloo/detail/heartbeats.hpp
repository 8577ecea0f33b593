#pragma once
/// Failure detection of one member of a mesh: it sends heartbeats to its peers and listens to
/// theirs. A peer is lost where its connection closes or its heartbeats stop. A member that stood
/// still itself (stopped, or paused with its whole machine) loses no peer for that. One thread a
/// peer listens, one thread sends.
/// See docs/engines.md.
#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "shunt/core/id.hpp"
#include "shunt/execute/transport.hpp"
#include "shunt/gloo/detail/host_platform.hpp"

namespace shunt {

/// The ranks that a member has lost.
struct known_losses {
  std::vector<rank_id> ranks{};   ///< all, in the order in which it noticed
  std::vector<rank_id> silent{};  ///< those of them that were only not heard: they may live
  std::vector<rank_id> quiet{};   ///< not lost, and not heard for more than half of `silence`
};

}  // namespace shunt

namespace shunt::detail {

/// A message that Gloo was asked to send or receive. It must stay until that is done, even where
/// the caller stopped waiting: Gloo stops a connection at an operation whose buffer is gone.
template <platform Platform>
struct in_flight {
  explicit in_flight(std::size_t size) : bytes(std::make_unique_for_overwrite<std::byte[]>(size)) {}
  std::unique_ptr<std::byte[]> bytes;
  std::unique_ptr<typename Platform::connections::message> buffer{};
};

/// The first loss that a member noticed.
struct first_loss {
  std::chrono::steady_clock::time_point heard{};    ///< the peer's last sign of life
  std::chrono::steady_clock::time_point noticed{};  ///< when this rank took it for lost
};

/// What one member knows of its peers. Every member function may be called from any thread. Those
/// that say so require `mutex()` to be held.
template <platform Platform = host_platform>
class heartbeats {
 public:
  using clock = std::chrono::steady_clock;
  using connections = typename Platform::connections;
  using mutex_type = typename Platform::mutex;
  using condition = typename Platform::condition;

  static constexpr auto forever = std::chrono::hours{24 * 365};

  /// Starts as member `self` (an index) of `members`. A peer without a heartbeat for `silence` is
  /// lost. `end_waits` aborts the caller's pending waits on messages and returns whether there were
  /// any; it is called with `mutex()` held, after a loss and at the end.
  heartbeats(connections const& network, std::vector<rank_id> members, std::size_t self,
             std::chrono::milliseconds silence, std::function<bool()> end_waits);
  heartbeats(heartbeats const&) = delete;
  heartbeats& operator=(heartbeats const&) = delete;
  /// Leaves, and joins the threads.
  ~heartbeats() {
    leave();
    for (auto& t : threads_) t.join();
  }

  /// Guards everything here, and what the owner shares with `end_waits`.
  [[nodiscard]] mutex_type& mutex() const { return mutex_; }
  /// Notified after every change.
  [[nodiscard]] condition& changed() const { return changed_; }

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
  void heard(std::size_t peer) { peers_[peer].heard = Platform::now(); }

  /// Takes a peer for lost: for dead, or (`silent`) because it was not heard. After
  /// `announce_shutdown` has begun, the end of a peer is no loss, even if its own announcement was
  /// overtaken.
  void lose(std::size_t peer, bool silent = false);
  /// The next epoch has these members although this one has lost them: `losses` names them no more.
  void forgive(std::vector<rank_id> const& members);

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
  void announce_shutdown();

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
  [[nodiscard]] bool all_reached(std::int64_t note) const;

  /// Returns the lost ranks, in the order in which this rank noticed.
  [[nodiscard]] std::vector<rank_id> lost() const {
    std::lock_guard const lock(mutex_);
    return lost_;
  }
  /// Returns the lost ranks that are not forgiven.
  [[nodiscard]] known_losses losses() const;
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
  using unbound = typename connections::message;
  using sent_beat = in_flight<Platform>;

  static constexpr std::uint64_t heartbeat_slot = std::uint64_t{1} << 40;
  // Any other heartbeat is its sender's note.
  static constexpr std::int64_t shutdown_beat = -1, loss_beat = -2;
  static constexpr std::size_t most_unread = 64;

  struct heartbeat {
    std::int64_t what = 0;
    std::int64_t read = 0;  // number of the receiver's heartbeats that its sender has received
  };
  struct neighbour {
    bool there = false;   // neither lost nor gone
    bool closed = false;  // its connection is over; one that is only silent may live and still hear
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
  bool end_waits();
  /// Waits until a time, or until this rank has left or `other()` is true.
  /// Requires mutex().
  template <class Other>
  void rest(std::unique_lock<mutex_type>& lock, clock::time_point until, Other const& other) {
    constexpr std::chrono::milliseconds soon{5};
    while (!over_ && !other() && Platform::now() < until)
      changed_.wait_until(lock, end_waits() ? std::min(until, Platform::now() + soon) : until);
    while (over_ && end_waits()) changed_.wait_for(lock, soon);
  }

  /// Thread body: receives one peer's heartbeats until its shutdown or its loss.
  void listen(std::size_t i);

  /// Thread body: sends heartbeats, and detects peers that send none.
  void beat();
  /// Takes the peers for lost that were not heard for `silence`. Where the last look is much longer
  /// ago than `beat` looks, this process stood still and could not hear: then no peer is lost, and
  /// each has `silence` from now.
  void lose_silent();

  connections const& network_;
  std::vector<rank_id> const members_;
  std::size_t const self_;
  std::chrono::milliseconds const silence_;
  std::function<bool()> const end_message_waits_;

  mutex_type mutable mutex_{};  // guards all below
  condition mutable changed_{};
  std::int64_t note_ = 0;
  std::vector<neighbour> peers_;
  std::vector<rank_id> lost_{}, silent_{}, forgiven_{};
  clock::time_point looked_ = Platform::now();  // for silent peers, the last time
  std::optional<first_loss> when_lost_{};
  bool leaving_ = false, shutdown_sent_ = false, over_ = false;
  bool cancelled_ = false;  // another member has lost a peer

  std::vector<typename Platform::thread> threads_{};
};

}  // namespace shunt::detail

#include "shunt/gloo/detail/heartbeats.ipp"
