#pragma once
/// Gloo as a transport: processes on one machine or many, each of which is one rank.
///
/// The members of an epoch meet in a shared directory, connect to each other over TCP, and run
/// programs with `rank_interpreter`. A peer whose connection closes (it crashed, or was killed) is
/// lost at once; one that sends no heartbeat for `silence` (it was stopped, or cut off) is lost
/// then. Whoever waits for anybody in that moment learns of it as peer_lost; nobody hangs. A rank
/// that has lost a peer tells the others, who may not have noticed anything (two that lost only
/// each other, for example): they are called off. After a loss the mesh is of no more use:
/// survivors agree who is left (see agreement.hpp) and make the mesh of the next epoch; the old one
/// is the witness of who dies meanwhile.
///
/// Threads: one a peer that waits for its heartbeat, one that sends heartbeats, one that waits for
/// sends to end, and Gloo's own.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
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
#include <thread>
#include <utility>
#include <vector>

#include <gloo/transport/unbound_buffer.h>

#include "shunt/core/id.hpp"
#include "shunt/execute/transport.hpp"
#include "shunt/gloo/config.hpp"
#include "shunt/gloo/connections.hpp"
#include "shunt/gloo/rendezvous.hpp"

namespace shunt {

/// One rank's end of the mesh of one epoch; models `transport`.
class gloo_mesh {
 public:
  using clock = std::chrono::steady_clock;

  /// Meets the other members; they all name the same epoch and members (ascending). Ranks keep
  /// their numbers from epoch to epoch. For a member that `previous_mesh` (the mesh of the epoch
  /// before) has lost nobody waits. Throws rendezvous_failed, naming the directory or the ranks
  /// that did not come in time, or where SIGPIPE isn't ignored, and std::invalid_argument where
  /// self is no member.
  gloo_mesh(gloo_config config, std::int32_t epoch, std::vector<rank_id> members, rank_id self,
            gloo_mesh const* previous_mesh = nullptr)
      : config_(std::move(config)), members_(std::move(members)), self_(self) {
    if (index_of(self) == members_.size())
      throw std::invalid_argument("rank " + std::to_string(self.value()) +
                                  " is no member of its mesh");
    struct sigaction pipe{};
    if (sigaction(SIGPIPE, nullptr, &pipe) == 0 && pipe.sa_handler == SIG_DFL)
      throw rendezvous_failed("SIGPIPE would end this process when it writes to a dead peer: call "
                              "std::signal(SIGPIPE, SIG_IGN) first");
    connections_ = detail::rendezvous(
        config_, epoch, members_, self_,
        [previous_mesh] { return previous_mesh ? previous_mesh->lost() : std::vector<rank_id>{}; },
        previous_mesh != nullptr);
    peers_.resize(members_.size());
    for (std::size_t i = 0; i < members_.size(); ++i) {
      peers_[i].heard = clock::now();
      peers_[i].there = members_[i] != self_;
    }
    for (std::size_t i = 0; i < members_.size(); ++i)
      if (members_[i] != self_) threads_.emplace_back([this, i] { listen(i); });
    threads_.emplace_back([this] { beat(); });
    collector_ = std::thread([this] { collect_sends(); });
  }
  gloo_mesh(gloo_mesh const&) = delete;
  gloo_mesh& operator=(gloo_mesh const&) = delete;
  /// Leaves at once; to the others this rank is lost, unless `close` was called.
  ~gloo_mesh() {
    leave();
    for (auto& t : threads_) t.join();
    collector_.join();
  }

  /// Leaves at once, from any thread: no more heartbeats, and whoever waits here throws
  /// run_aborted.
  void leave() {
    {
      std::lock_guard const lock(mutex_);
      over_ = true;
      end_waits();
    }
    changed_.notify_all();
    collect_sends_.notify_all();
  }

  [[nodiscard]] rank_id rank() const { return self_; }
  [[nodiscard]] std::int32_t size() const { return static_cast<std::int32_t>(members_.size()); }
  [[nodiscard]] std::vector<rank_id> const& members() const { return members_; }

  /// Throws peer_lost, naming the first rank that was lost, whether or not it is `to`; run_aborted
  /// where only others have lost one.
  void send(rank_id to, std::int32_t channel, std::span<std::byte const> out) {
    auto message = std::make_unique<in_flight>(out.size());
    if (!out.empty()) std::memcpy(message->bytes.get(), out.data(), out.size());
    std::size_t const peer = index_of(to);
    try {
      message->buffer = connections_->buffer(message->bytes.get(), out.size());
      message->buffer->send(static_cast<int>(peer), slot(channel));
    } catch (std::exception const&) {
      lose(peer);
    }
    std::lock_guard const lock(mutex_);
    refuse_after_loss();
    outgoing_.push_back(std::move(message));
    if (outgoing_.size() == collected_together)
      collect_sends_
          .notify_one();  // not for every message: waking a thread costs more than sending
  }

  /// Throws peer_lost, naming the first rank that was lost, whether or not it is `from`;
  /// run_aborted where only others have lost one.
  void receive(rank_id from, std::int32_t channel, std::span<std::byte> in) {
    std::size_t const peer = index_of(from);
    auto message =
        std::make_unique<in_flight>(in.size());  // of its own: what was called off may still arrive
    try {
      message->buffer = connections_->buffer(message->bytes.get(), in.size());
      {
        std::lock_guard const lock(mutex_);
        refuse_after_loss();
        waiting_ = message->buffer.get();
      }
      message->buffer->recv(static_cast<int>(peer), slot(channel));
      bool const arrived = message->buffer->waitRecv(nullptr, forever);
      std::lock_guard const lock(mutex_);
      waiting_ = nullptr;
      if (!arrived) {
        unfinished_.push_back(std::move(message));
        refuse_after_loss();
      } else if (!in.empty()) {
        std::memcpy(in.data(), message->bytes.get(), in.size());
      }
      peers_[peer].heard = clock::now();
    } catch (peer_lost const&) {
      throw;
    } catch (run_aborted const&) {
      throw;
    } catch (std::exception const&) {
      {
        std::lock_guard const lock(mutex_);
        waiting_ = nullptr;
      }
      lose(peer);
      std::lock_guard const lock(mutex_);
      refuse_after_loss();
    }
  }

  /// Returns when all that was sent has left. Throws as the two above.
  void flush() {
    std::unique_lock lock(mutex_);
    wait_for_sends(lock);
    refuse_after_loss();
  }

  /// Says goodbye and waits until everybody else has or is lost: after that nobody takes this rank
  /// for lost.
  void close() {
    {
      std::unique_lock lock(mutex_);
      wait_for_sends(lock);
      leaving_ = true;
    }
    changed_.notify_all();
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] {
      return over_ || (leave_sent_ && std::none_of(peers_.begin(), peers_.end(),
                                                   [](neighbour const& p) { return p.there; }));
    });
  }

  /// Tells all others a number, at least 0 and never less than before: how many programs this rank
  /// has completed, for example.
  void publish(std::int64_t note) {
    {
      std::lock_guard const lock(mutex_);
      note_ = std::max(note_, note);
    }
    changed_.notify_all();
  }
  /// Waits until every member has told at least this number: true; or until one is lost, to this
  /// rank or to another: false.
  [[nodiscard]] bool all_reached(std::int64_t note) const {
    std::unique_lock lock(mutex_);
    bool all = false;
    changed_.wait(lock, [&] {
      all = note_ >= note;
      for (std::size_t i = 0; i < peers_.size(); ++i)
        all = all && (members_[i] == self_ || peers_[i].note >= note);
      return all || !lost_.empty() || cancelled_ || over_;
    });
    return all;
  }

  /// The ranks that are lost, in the order in which this one noticed.
  [[nodiscard]] std::vector<rank_id> lost() const {
    std::lock_guard const lock(mutex_);
    return lost_;
  }

  /// Whether nobody is lost, to this rank or to another that has said so.
  [[nodiscard]] bool whole() const {
    std::lock_guard const lock(mutex_);
    return lost_.empty() && !cancelled_ && !over_;
  }

  struct first_loss {
    clock::time_point heard{};    ///< the last sign of life of a peer that is lost now
    clock::time_point noticed{};  ///< when this rank took it for lost
  };
  /// Of the peer that was lost first; nothing where none is.
  [[nodiscard]] std::optional<first_loss> when_lost() const {
    std::lock_guard const lock(mutex_);
    return when_lost_;
  }

 private:
  using unbound = ::gloo::transport::UnboundBuffer;

  static constexpr auto forever = std::chrono::hours{24 * 365};
  static constexpr std::uint64_t heartbeat_slot = std::uint64_t{1} << 40;
  static constexpr std::int64_t leave_notice = -1,
                                failure_notice = -2;  // any other heartbeat is its sender's note
  static constexpr std::size_t collected_together = 64;

  static constexpr std::size_t most_unread = 64;

  /// A message that Gloo has been asked to send or receive. Its buffer must stay until that is
  /// done, whoever gave up waiting for it: Gloo stops a connection at an operation whose buffer is
  /// gone, and nothing that comes after it gets through any more.
  struct in_flight {
    explicit in_flight(std::size_t size)
        : bytes(std::make_unique_for_overwrite<std::byte[]>(size)) {}
    std::unique_ptr<std::byte[]> bytes;
    std::unique_ptr<unbound> buffer{};
  };
  struct heartbeat {
    std::int64_t what = 0;
    std::int64_t read = 0;  // how many of the other's heartbeats its sender has had
  };
  struct neighbour {
    bool there = false;  // neither lost nor gone
    std::int64_t note = 0;
    std::int64_t beats = 0,
                 read_there = 0;  // heartbeats that came from it; those of ours that it has had
    clock::time_point heard{};
    unbound* heartbeat_buffer = nullptr;
  };

  [[nodiscard]] static std::uint64_t slot(std::int32_t channel) {
    return static_cast<std::uint32_t>(channel);
  }
  [[nodiscard]] std::size_t index_of(rank_id r) const {
    return static_cast<std::size_t>(std::find(members_.begin(), members_.end(), r) -
                                    members_.begin());
  }

  /// With the mutex held.
  void refuse_after_loss() const {
    if (!lost_.empty()) throw peer_lost(lost_.front());
    if (cancelled_ || over_) throw run_aborted();
  }

  /// With the mutex held.
  void wait_for_sends(std::unique_lock<std::mutex>& lock) {
    flushing_ = !outgoing_.empty();
    collect_sends_.notify_one();
    changed_.wait(lock, [&] {
      return (outgoing_.empty() && !sending_) || !lost_.empty() || cancelled_ || over_;
    });
  }

  /// A peer leaves for good only when this rank has said goodbye: after that its end is no loss,
  /// even if its own goodbye was overtaken.
  void lose(std::size_t i) {
    {
      std::lock_guard const lock(mutex_);
      if (!peers_[i].there || over_) return;
      peers_[i].there = false;
      if (!leaving_) lost_.push_back(members_[i]);
      if (!leaving_ && !when_lost_) when_lost_ = {peers_[i].heard, clock::now()};
      end_waits();
    }
    changed_.notify_all();
  }

  /// Ends what nobody need wait for any more; false where there is none. With the mutex held. Gloo
  /// forgets an abort that comes just before the wait that it is for, so `beat` says it again until
  /// nobody waits.
  bool end_waits() {
    bool any = false;
    auto const end = [&](unbound* buffer, void (unbound::*abort)()) {
      if (buffer) (buffer->*abort)();
      any = any || buffer;
    };
    for (auto& p : peers_)
      if (over_ || !p.there) end(p.heartbeat_buffer, &unbound::abortWaitRecv);
    if (over_ || cancelled_ || !lost_.empty()) {
      end(waiting_, &unbound::abortWaitRecv);
      end(sending_, &unbound::abortWaitSend);
    }
    return any;
  }
  /// With the mutex held: waits until then, or until this mesh is over or there is something else
  /// to do.
  template <class Other>
  void rest(std::unique_lock<std::mutex>& lock, clock::time_point until, Other const& other) {
    constexpr std::chrono::milliseconds soon{5};
    while (!over_ && !other() && clock::now() < until)
      changed_.wait_until(lock, end_waits() ? std::min(until, clock::now() + soon) : until);
    while (over_ && end_waits()) changed_.wait_for(lock, soon);
  }

  /// Waits for one peer's heartbeats until it says goodbye, or is lost.
  void listen(std::size_t i) {
    heartbeat beat;
    std::unique_ptr<unbound> heartbeat_buffer;  // outlives `peers_[i].heartbeat_buffer`
    try {
      heartbeat_buffer = connections_->buffer(&beat, sizeof beat);
      {
        std::lock_guard const lock(mutex_);
        if (over_) return;
        peers_[i].heartbeat_buffer = heartbeat_buffer.get();
      }
      while (beat.what != leave_notice) {
        heartbeat_buffer->recv(static_cast<int>(i), heartbeat_slot);
        bool const heard = heartbeat_buffer->waitRecv(nullptr, forever);
        std::lock_guard const lock(mutex_);
        if (!heard || over_) break;
        peers_[i].heard = clock::now();
        ++peers_[i].beats;
        peers_[i].read_there = beat.read;
        if (beat.what == failure_notice && !cancelled_) {
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
      if (beat.what == leave_notice) peers_[i].there = false;
    } catch (std::exception const&) {
      {
        std::lock_guard const lock(mutex_);
        peers_[i].heartbeat_buffer = nullptr;
      }
      lose(i);
    }
    changed_.notify_all();
  }

  /// Sends heartbeats, and notices who sends none.
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
          continue;  // the next that is due by the clock tells it
        try {
          auto& last = unread[i].emplace_back(sizeof beat);
          std::memcpy(last.bytes.get(), &beat, sizeof beat);
          last.buffer = connections_->buffer(last.bytes.get(), sizeof beat);
          last.buffer->send(static_cast<int>(i), heartbeat_slot);
        } catch (std::exception const&) {
          lose(i);
        }
      }
    };
    auto next = clock::now();
    std::int64_t sent_note = 0;
    bool failure_sent = false;
    for (;;) {
      bool const due = clock::now() >= next;
      publish(sent_note, !due);
      if (due) next = clock::now() + config_.silence / 4;
      std::unique_lock lock(mutex_);
      auto const failure_unsent = [&] { return !failure_sent && (cancelled_ || !lost_.empty()); };
      rest(lock, next, [&] { return leaving_ || note_ > sent_note || failure_unsent(); });
      if (over_) return;
      if (leaving_) break;
      sent_note = note_;
      if (failure_unsent()) {
        failure_sent = true;
        lock.unlock();
        publish(failure_notice);
        lock.lock();
      }
      auto const now = clock::now();
      std::vector<std::size_t> silent;
      for (std::size_t i = 0; i < peers_.size(); ++i)
        if (peers_[i].there && now - peers_[i].heard > config_.silence) silent.push_back(i);
      lock.unlock();
      for (std::size_t const i : silent) lose(i);
    }
    publish(leave_notice);
    for (auto& mine : unread)
      if (!mine.empty()) try {
          mine.back().buffer->waitSend(nullptr, config_.silence);
        } catch (std::exception const&) {  // then it is lost, and needs no goodbye
        }
    std::unique_lock lock(mutex_);
    leave_sent_ = true;
    for (;;) {  // until the others have said theirs, they may still fall silent
      changed_.notify_all();
      rest(lock, clock::now() + config_.silence / 4, [] { return false; });
      if (over_) return;
      auto const now = clock::now();
      for (std::size_t i = 0; i < peers_.size(); ++i)
        if (peers_[i].there && now - peers_[i].heard > config_.silence) {
          lock.unlock();
          lose(i);
          lock.lock();
        }
    }
  }

  /// Keeps what was sent until it has left.
  void collect_sends() {
    std::unique_lock lock(mutex_);
    for (;;) {
      if (outgoing_.empty()) flushing_ = false, changed_.notify_all();
      collect_sends_.wait(lock, [&] {
        return over_ || (lost_.empty() && !cancelled_ &&
                         (outgoing_.size() >= collected_together || flushing_));
      });
      if (over_) return;
      auto oldest = std::move(outgoing_.front());
      outgoing_.pop_front();
      sending_ = oldest->buffer.get();
      bool sent = false;
      lock.unlock();
      try {
        sent = oldest->buffer->waitSend(nullptr, forever);
      } catch (std::exception const&) {  // its peer is lost, and the one who listens to it notices
      }
      lock.lock();
      sending_ = nullptr;
      if (!sent) unfinished_.push_back(std::move(oldest));
    }
  }

  gloo_config const config_;
  std::vector<rank_id> const members_;
  rank_id const self_;
  std::unique_ptr<detail::connections const> connections_{};

  std::mutex mutable mutex_{};  // guards all below
  std::condition_variable mutable changed_{};
  std::condition_variable collect_sends_{};
  std::int64_t note_ = 0;
  std::vector<neighbour> peers_{};
  std::vector<rank_id> lost_{};
  std::optional<first_loss> when_lost_{};
  std::deque<std::unique_ptr<in_flight>> outgoing_{};
  std::vector<std::unique_ptr<in_flight>> unfinished_{};  // after a loss
  unbound* waiting_ = nullptr;
  unbound* sending_ = nullptr;
  bool flushing_ = false, leaving_ = false, leave_sent_ = false, over_ = false;
  bool cancelled_ = false;  // somebody else has lost a peer

  std::vector<std::thread> threads_{};
  std::thread collector_{};
};
static_assert(transport<gloo_mesh>);

}  // namespace shunt
