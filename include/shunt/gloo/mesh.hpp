#pragma once
/// Gloo as a transport: processes on one machine or many, each of which is one rank.
///
/// The members of an epoch meet in a shared directory, connect to each other over TCP, and run programs with `rank_loop`. A peer whose
/// connection closes (it crashed, or was killed) is lost at once; one that sends no heartbeat for `silence` (it was stopped, or cut off) is
/// lost then. Whoever waits for anybody in that moment learns of it as peer_lost; nobody hangs. After a loss the mesh is of no more use:
/// survivors agree who is left (see agreement.hpp) and make the mesh of the next epoch; the old one is the witness of who dies meanwhile.
///
/// Threads: one a peer that waits for its heartbeat, one that sends heartbeats, one that waits for sends to end, and Gloo's own.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <deque>
#include <exception>
#include <filesystem>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <net/if.h>

#include <gloo/rendezvous/context.h>
#include <gloo/rendezvous/prefix_store.h>
#include <gloo/transport/tcp/device.h>

#include "shunt/core/id.hpp"
#include "shunt/execute/transport.hpp"
#include "shunt/gloo/addresses.hpp"

namespace shunt {

/// A network that could not be made: the directory can't be used, somebody did not come, or no connection was possible.
class no_mesh : public std::runtime_error {
 public:
  explicit no_mesh(std::string const& why, std::vector<rank_id> absent = {}, bool unconnected = false)
      : std::runtime_error(why), absent_(std::move(absent)), unconnected_(unconnected) {}
  [[nodiscard]] std::vector<rank_id> const& absent() const noexcept { return absent_; }  ///< who did not come in time
  [[nodiscard]] bool unconnected() const noexcept { return unconnected_; }  ///< all came, and not all connections could be made

 private:
  std::vector<rank_id> absent_;
  bool unconnected_;
};

struct gloo_config {
  std::string directory{};                 ///< where the processes meet; shared by all, writable, of this run alone
  std::string interface{};                 ///< network interface to listen on; empty: by host name
  std::string hostname = "127.0.0.1";      ///< address to listen on, where no interface is named
  std::chrono::milliseconds silence{1000};  ///< without a heartbeat for so long a peer is lost
  std::chrono::milliseconds patience{10'000};  ///< for all members to come, and to connect
};

/// One rank's end of the mesh of one epoch; models `transport`.
class gloo_mesh {
 public:
  using clock = std::chrono::steady_clock;

  /// Meets the other members; they all name the same epoch and members (ascending). Ranks keep their numbers from epoch to epoch. For a
  /// member that `witness` (the mesh of the epoch before) has lost nobody waits.
  /// Throws no_mesh, naming the directory or the ranks that did not come in time, or where SIGPIPE isn't ignored, and std::invalid_argument
  /// where self is no member.
  gloo_mesh(gloo_config config, std::int32_t epoch, std::vector<rank_id> members, rank_id self, gloo_mesh const* witness = nullptr)
      : config_(std::move(config)), members_(std::move(members)), self_(self) {
    if (index_of(self) == members_.size()) throw std::invalid_argument("rank " + std::to_string(self.value()) + " is no member of its mesh");
    struct sigaction pipe {};
    if (sigaction(SIGPIPE, nullptr, &pipe) == 0 && pipe.sa_handler == SIG_DFL)
      throw no_mesh("SIGPIPE would end this process when it writes to a dead peer: call std::signal(SIGPIPE, SIG_IGN) first");
    meet(epoch, witness);
    peers_.resize(members_.size());
    for (std::size_t i = 0; i < members_.size(); ++i) {
      peers_[i].heard = clock::now();
      peers_[i].there = members_[i] != self_;
    }
    for (std::size_t i = 0; i < members_.size(); ++i)
      if (members_[i] != self_) threads_.emplace_back([this, i] { listen(i); });
    threads_.emplace_back([this] { beat(); });
    reaper_ = std::thread([this] { reap(); });
  }
  gloo_mesh(gloo_mesh const&) = delete;
  gloo_mesh& operator=(gloo_mesh const&) = delete;
  /// Leaves at once; to the others this rank is lost, unless `close` was called.
  ~gloo_mesh() {
    leave();
    for (auto& t : threads_) t.join();
    reaper_.join();
  }

  /// Leaves at once, from any thread: no more heartbeats, and whoever waits here throws run_aborted.
  void leave() {
    {
      std::lock_guard const lock(mutex_);
      over_ = true;
      for (auto& p : peers_)
        if (p.heart) p.heart->abortWaitRecv();
      if (waiting_) waiting_->abortWaitRecv();
      if (sending_) sending_->abortWaitSend();
    }
    changed_.notify_all();
    reap_.notify_all();
  }

  [[nodiscard]] rank_id rank() const { return self_; }
  [[nodiscard]] std::int32_t size() const { return static_cast<std::int32_t>(members_.size()); }
  [[nodiscard]] std::vector<rank_id> const& members() const { return members_; }

  /// Throws peer_lost, naming the first rank that was lost, whether or not it is `to`.
  void send(rank_id to, std::int32_t channel, std::span<std::byte const> out) {
    auto message = std::make_unique<outgoing>();
    message->bytes.assign(out.begin(), out.end());
    std::size_t const peer = index_of(to);
    try {
      message->buffer = context_->createUnboundBuffer(message->bytes.data(), message->bytes.size());
      message->buffer->send(static_cast<int>(peer), slot(channel));
    } catch (std::exception const&) {
      lose(peer);
    }
    std::lock_guard const lock(mutex_);
    refuse_after_loss();
    outgoing_.push_back(std::move(message));
    if (outgoing_.size() == reaped_together) reap_.notify_one();  // not for every message: waking a thread costs more than sending
  }

  /// Throws peer_lost, naming the first rank that was lost, whether or not it is `from`.
  void receive(rank_id from, std::int32_t channel, std::span<std::byte> in) {
    std::size_t const peer = index_of(from);
    std::unique_ptr<unbound> buffer;  // outlives `waiting_`
    try {
      buffer = context_->createUnboundBuffer(in.data(), in.size());
      {
        std::lock_guard const lock(mutex_);
        refuse_after_loss();
        waiting_ = buffer.get();
      }
      buffer->recv(static_cast<int>(peer), slot(channel));
      bool const arrived = buffer->waitRecv(nullptr, forever);
      std::lock_guard const lock(mutex_);
      waiting_ = nullptr;
      if (!arrived) refuse_after_loss();
      peers_[peer].heard = clock::now();
    } catch (peer_lost const&) {
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

  /// Returns when all that was sent has left. Throws peer_lost.
  void flush() {
    std::unique_lock lock(mutex_);
    wait_for_sends(lock);
    refuse_after_loss();
  }

  /// Says goodbye and waits until everybody else has or is lost: after that nobody takes this rank for lost.
  void close() {
    {
      std::unique_lock lock(mutex_);
      wait_for_sends(lock);
      leaving_ = true;
    }
    changed_.notify_all();
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] {
      return over_ || (goodbye_said_ && std::none_of(peers_.begin(), peers_.end(), [](neighbour const& p) { return p.there; }));
    });
  }

  /// Tells all others a number, at least 0 and never less than before: how many programs this rank has completed, for example.
  void tell(std::int64_t note) {
    {
      std::lock_guard const lock(mutex_);
      note_ = std::max(note_, note);
    }
    changed_.notify_all();
  }
  /// Waits until every member has told at least this number: true; or until one is lost: false.
  [[nodiscard]] bool told_by_all(std::int64_t note) const {
    std::unique_lock lock(mutex_);
    bool all = false;
    changed_.wait(lock, [&] {
      all = note_ >= note;
      for (std::size_t i = 0; i < peers_.size(); ++i) all = all && (members_[i] == self_ || peers_[i].note >= note);
      return all || !lost_.empty() || over_;
    });
    return all;
  }

  /// The ranks that are lost, in the order in which this one noticed.
  [[nodiscard]] std::vector<rank_id> lost() const {
    std::lock_guard const lock(mutex_);
    return lost_;
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
  static constexpr std::uint64_t heart_slot = std::uint64_t{1} << 40;
  static constexpr std::int64_t goodbye = -1;  // any other heartbeat is its sender's note
  static constexpr std::size_t reaped_together = 64;

  struct outgoing {
    std::vector<std::byte> bytes{};
    std::unique_ptr<unbound> buffer{};
  };
  struct neighbour {
    bool there = false;  // neither lost nor gone
    std::int64_t note = 0;
    clock::time_point heard{};
    unbound* heart = nullptr;
  };

  [[nodiscard]] static std::uint64_t slot(std::int32_t channel) { return static_cast<std::uint32_t>(channel); }
  [[nodiscard]] std::size_t index_of(rank_id r) const {
    return static_cast<std::size_t>(std::find(members_.begin(), members_.end(), r) - members_.begin());
  }

  /// All members sign in, connect, and say whether they could; nobody starts before everybody is connected.
  void meet(std::int32_t epoch, gloo_mesh const* witness) {
    namespace files = std::filesystem;
    std::string const prefix = "epoch" + std::to_string(epoch);
    auto const sign = [&](rank_id r, char const* what) {
      return files::path(config_.directory) / (prefix + "." + what + std::to_string(r.value()));
    };
    auto const signed_as = [&](rank_id r, char const* what) {
      std::error_code ignored;
      return files::exists(sign(r, what), ignored);
    };
    /// Waits until all members meet a condition; those that don't, after a time or because they are lost, are absent.
    auto const wait_for = [&](auto const& condition, std::string const& what) {
      auto const until = clock::now() + config_.patience;
      for (auto missing = members_;; std::this_thread::sleep_for(std::chrono::milliseconds{1})) {
        auto const gone = witness ? witness->lost() : std::vector<rank_id>{};  // before looking: who has signed in may have left the old mesh
        std::erase_if(missing, condition);
        if (missing.empty()) return;
        bool const in_vain =
            std::all_of(missing.begin(), missing.end(), [&](rank_id r) { return std::find(gone.begin(), gone.end(), r) != gone.end(); });
        if (!in_vain && clock::now() <= until) continue;
        std::string names;
        for (rank_id const r : missing) names += (names.empty() ? "" : ", ") + std::to_string(r.value());
        auto const after = in_vain ? "" : "after " + std::to_string(config_.patience.count()) + " ms ";
        throw no_mesh(config_.directory + ": " + after + "these ranks did not " + what + " " + prefix + ": " + names, missing);
      }
    };
    try {
      files::create_directories(config_.directory);
      if (!files::create_directory(sign(self_, "rank")))  // atomic: whoever makes it is the one
        throw no_mesh(config_.directory + ": rank " + std::to_string(self_.value()) + " is there already, in " + prefix +
                      "; is the directory left over from another run?");
      wait_for([&](rank_id r) { return signed_as(r, "rank"); }, "come to");
      std::string const failure = connect(prefix, witness);
      files::create_directory(sign(self_, failure.empty() ? "ready" : "failed"));
      wait_for([&](rank_id r) { return signed_as(r, "ready") || signed_as(r, "failed"); }, "connect in");
      if (!failure.empty())
        throw no_mesh(config_.directory + ": rank " + std::to_string(self_.value()) + " can't connect in " + prefix + ": " + failure, {}, true);
      for (rank_id const r : members_)
        if (signed_as(r, "failed"))
          throw no_mesh(config_.directory + ": rank " + std::to_string(r.value()) + " could not connect in " + prefix, {}, true);
    } catch (files::filesystem_error const& error) {
      throw no_mesh(config_.directory + ": can't meet there: " + error.code().message());
    }
  }

  /// Why that isn't possible; empty: connected.
  [[nodiscard]] std::string connect(std::string const& prefix, gloo_mesh const* witness) {
    // somebody may die while others wait for its connection, of which Gloo tells them nothing: it tries five times for so long each. Once all
    // have come connecting takes milliseconds, and where it fails though all are there they try again in the next epoch.
    auto const patience = witness ? std::min(config_.patience, config_.silence / 4) : config_.patience;
    if (!config_.interface.empty() && if_nametoindex(config_.interface.c_str()) == 0) return "no network interface " + config_.interface;
    try {
      ::gloo::transport::tcp::attr attributes;
      attributes.iface = config_.interface;
      if (config_.interface.empty()) attributes.hostname = config_.hostname;
      auto device = ::gloo::transport::tcp::CreateDevice(attributes);
      auto const somebody_died = [&] {
        auto const gone = witness ? witness->lost() : std::vector<rank_id>{};
        return std::any_of(gone.begin(), gone.end(), [&](rank_id r) { return index_of(r) < members_.size(); });
      };
      detail::addresses all(config_.directory, patience, somebody_died);
      ::gloo::rendezvous::PrefixStore store(prefix, all);
      auto context = std::make_shared<::gloo::rendezvous::Context>(static_cast<int>(index_of(self_)), size());
      context->setTimeout(patience);
      context->connectFullMesh(store, device);
      context_ = std::move(context);
      return {};
    } catch (std::exception const& error) {
      return error.what();
    }
  }

  /// With the mutex held.
  void refuse_after_loss() const {
    if (!lost_.empty()) throw peer_lost(lost_.front());
    if (over_) throw run_aborted();
  }

  /// With the mutex held.
  void wait_for_sends(std::unique_lock<std::mutex>& lock) {
    flushing_ = !outgoing_.empty();
    reap_.notify_one();
    changed_.wait(lock, [&] { return (outgoing_.empty() && !sending_) || !lost_.empty() || over_; });
  }

  /// A peer leaves for good only when this rank has said goodbye: after that its end is no loss, even if its own goodbye was overtaken.
  void lose(std::size_t i) {
    {
      std::lock_guard const lock(mutex_);
      if (!peers_[i].there || over_) return;
      peers_[i].there = false;
      if (!leaving_) lost_.push_back(members_[i]);
      if (!leaving_ && !when_lost_) when_lost_ = {peers_[i].heard, clock::now()};
      if (waiting_) waiting_->abortWaitRecv();
      if (sending_) sending_->abortWaitSend();
      if (peers_[i].heart) peers_[i].heart->abortWaitRecv();
    }
    changed_.notify_all();
  }

  /// Waits for one peer's heartbeats until it says goodbye, or is lost.
  void listen(std::size_t i) {
    std::int64_t beat = 0;
    std::unique_ptr<unbound> heart;  // outlives `peers_[i].heart`
    try {
      heart = context_->createUnboundBuffer(&beat, sizeof beat);
      {
        std::lock_guard const lock(mutex_);
        if (over_) return;
        peers_[i].heart = heart.get();
      }
      while (beat != goodbye) {
        heart->recv(static_cast<int>(i), heart_slot);
        bool const heard = heart->waitRecv(nullptr, forever);
        std::lock_guard const lock(mutex_);
        if (!heard || over_) break;
        peers_[i].heard = clock::now();
        if (beat > peers_[i].note) {
          peers_[i].note = beat;
          changed_.notify_all();
        }
      }
      std::lock_guard const lock(mutex_);
      peers_[i].heart = nullptr;
      if (beat == goodbye) peers_[i].there = false;
    } catch (std::exception const&) {
      {
        std::lock_guard const lock(mutex_);
        peers_[i].heart = nullptr;
      }
      lose(i);
    }
    changed_.notify_all();
  }

  /// Sends heartbeats, and notices who sends none.
  void beat() {
    std::deque<outgoing> sent;
    auto const tell = [&](std::int64_t what) {
      for (std::size_t i = 0; i < members_.size(); ++i) {
        {
          std::lock_guard const lock(mutex_);
          if (!peers_[i].there) continue;
        }
        try {
          auto& last = sent.emplace_back();
          last.bytes.resize(sizeof what);
          std::memcpy(last.bytes.data(), &what, sizeof what);
          last.buffer = context_->createUnboundBuffer(last.bytes.data(), last.bytes.size());
          last.buffer->send(static_cast<int>(i), heart_slot);
        } catch (std::exception const&) {
          lose(i);
        }
      }
      while (sent.size() > 8 * members_.size()) sent.pop_front();  // a live peer has long taken these
    };
    auto next = clock::now();
    std::int64_t told = 0;
    for (;;) {
      tell(told);
      next = clock::now() + config_.silence / 4;
      std::unique_lock lock(mutex_);
      changed_.wait_until(lock, next, [&] { return over_ || leaving_ || note_ > told; });
      if (over_) return;
      if (leaving_) break;
      told = note_;
      auto const now = clock::now();
      std::vector<std::size_t> silent;
      for (std::size_t i = 0; i < peers_.size(); ++i)
        if (peers_[i].there && now - peers_[i].heard > config_.silence) silent.push_back(i);
      lock.unlock();
      for (std::size_t const i : silent) lose(i);
    }
    tell(goodbye);
    for (std::size_t i = sent.size() - std::min(sent.size(), members_.size()); i < sent.size(); ++i) try {
        sent[i].buffer->waitSend(nullptr, config_.silence);
      } catch (std::exception const&) {  // then it is lost, and needs no goodbye
      }
    std::unique_lock lock(mutex_);
    goodbye_said_ = true;
    for (;;) {  // until the others have said theirs, they may still fall silent
      changed_.notify_all();
      changed_.wait_for(lock, config_.silence / 4, [&] { return over_; });
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
  void reap() {
    std::unique_lock lock(mutex_);
    for (;;) {
      if (outgoing_.empty()) flushing_ = false, changed_.notify_all();
      reap_.wait(lock, [&] { return over_ || outgoing_.size() >= reaped_together || flushing_; });
      if (over_) return;
      auto const oldest = std::move(outgoing_.front());
      outgoing_.pop_front();
      sending_ = oldest->buffer.get();
      bool const lost = !lost_.empty();
      lock.unlock();
      try {
        if (!lost) oldest->buffer->waitSend(nullptr, forever);
      } catch (std::exception const&) {  // its peer is lost, and the one who listens to it notices
      }
      lock.lock();
      sending_ = nullptr;
    }
  }

  gloo_config const config_;
  std::vector<rank_id> const members_;
  rank_id const self_;
  std::shared_ptr<::gloo::rendezvous::Context> context_{};

  std::mutex mutable mutex_{};  // guards all below
  std::condition_variable mutable changed_{};
  std::condition_variable reap_{};
  std::int64_t note_ = 0;
  std::vector<neighbour> peers_{};
  std::vector<rank_id> lost_{};
  std::optional<first_loss> when_lost_{};
  std::deque<std::unique_ptr<outgoing>> outgoing_{};
  unbound* waiting_ = nullptr;
  unbound* sending_ = nullptr;
  bool flushing_ = false, leaving_ = false, goodbye_said_ = false, over_ = false;

  std::vector<std::thread> threads_{};
  std::thread reaper_{};
};
static_assert(transport<gloo_mesh>);

}  // namespace shunt
