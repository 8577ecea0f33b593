#pragma once
/// Connections of virtual processes: per pair in order, with delays, cuts and resets. Messages have
/// the interface of Gloo's unbound buffers, and their traps: an abort before its wait is dropped,
/// and a connection stops at an operation whose buffer is gone.
#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <deque>
#include <limits>
#include <map>
#include <memory>
#include <set>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "support/simulated/threads.hpp"
#include "support/simulated/world.hpp"

namespace shunt::tests::simulated {

class virtual_message;

/// A send or a receive that was begun.
struct operation_begun {
  virtual_message* buffer = nullptr;  ///< null: gone
};

/// Between two processes, on the way or arrived.
struct packet {
  enum class kind : std::uint8_t { bytes, taken, end };
  kind what = kind::bytes;
  nanos due = 0;
  std::uint64_t slot = 0;
  std::vector<std::byte> bytes{};
  std::shared_ptr<operation_begun> sent{};
};

/// Both ends of one connection.
struct wire {
  struct end {
    process* owner = nullptr;
    bool ready = false;               ///< can be connected to
    bool connected = false;           ///< knows that it is connected
    bool broken = false;              ///< knows that the connection is over
    bool deaf = false, mute = false;  ///< stopped at a receive or a send whose buffer is gone
    std::string why{};
    std::deque<packet> coming{};  ///< on the way to this end
    std::deque<packet> there{};   ///< in its machine
    nanos latest = 0;             ///< when the last packet that is coming is due
    std::map<std::uint64_t, std::deque<packet>> arrived{};
    std::map<std::uint64_t, std::deque<std::shared_ptr<operation_begun>>> receives{};
    std::vector<std::shared_ptr<operation_begun>> sends{};
    waiting_threads changed{};
  };
  std::array<end, 2> ends{};
  bool silent = false;  ///< a machine has crashed: nothing comes from it any more
};

/// What connects virtual processes.
class network {
 public:
  nanos delay = 100 * microsecond;  ///< of a message, at most
  std::int64_t lost_once_in = 0;    ///< 0: never; a lost message is sent again
  nanos sent_again_after = 40 * millisecond;
  /// Of programs, at which a connection has stopped because their buffers were gone.
  std::int64_t messages_without_buffer = 0;

  static constexpr nanos for_ever = std::numeric_limits<nanos>::max() / 4;

  /// Two sets of ranks that hear nothing of each other until a time.
  struct cut {
    std::set<std::int32_t> one{}, other{};
    nanos until = 0;
  };
  std::vector<cut> cuts{};

  /// Returns until when these ranks are cut off from each other; 0: they are not.
  [[nodiscard]] nanos cut_until(std::int32_t a, std::int32_t b) const {
    nanos until = 0;
    for (auto const& c : cuts)
      if (c.until > current_world()->now() && ((c.one.contains(a) && c.other.contains(b)) ||
                                               (c.one.contains(b) && c.other.contains(a))))
        until = std::max(until, c.until);
    return until;
  }

  [[nodiscard]] std::shared_ptr<wire> wire_between(std::string const& prefix, int a, int b) {
    auto& w = wires_[prefix + "/" + std::to_string(std::min(a, b)) + "/" +
                     std::to_string(std::max(a, b))];
    if (!w) w = std::make_shared<wire>();
    return w;
  }

  void send(std::shared_ptr<wire> const& on, std::size_t from, packet p) {
    auto& w = *current_world();
    auto& to = on->ends[1 - from];
    if (on->ends[from].mute && p.what != packet::kind::end) return;
    nanos due = w.now() + 1 + w.below(delay);
    if (lost_once_in > 0 && w.one_in(lost_once_in)) due += 1 + w.below(sent_again_after);
    p.due = to.latest = std::max(to.latest, due);
    to.coming.push_back(std::move(p));
    w.at(due, [this, on, from] { carry(on, 1 - from); });
  }

  /// An end learns that its connection is over.
  static void break_off(wire& on, std::size_t side, std::string const& why);

  /// The connections of a process that has died.
  void died(process const& p, bool crash) {
    for (auto const& [name, on] : wires_)
      for (std::size_t const side : {0U, 1U}) {
        auto& own = on->ends[side];
        if (own.owner != &p) continue;
        if (crash)
          on->silent = true;
        else if (!own.broken)
          send(on, side, {.what = packet::kind::end});
        own.broken = true;
      }
  }
  /// Both ends of the connections of two processes learn that they are over.
  void reset(std::int32_t a, std::int32_t b) {
    for (auto const& [name, on] : wires_) {
      auto const* const one = on->ends[0].owner;
      auto const* const other = on->ends[1].owner;
      if (!one || !other || one->dead || other->dead || !on->ends[0].connected ||
          !on->ends[1].connected)
        continue;
      if (std::minmax(one->rank, other->rank) != std::minmax(a, b)) continue;
      for (std::size_t const side : {0U, 1U})
        if (!on->ends[side].broken) send(on, side, {.what = packet::kind::end});
    }
  }

  /// Connects one end, in its process. Returns why not; empty: it is connected.
  [[nodiscard]] std::string connect(std::shared_ptr<wire> const& on, std::size_t side,
                                    nanos patience, bool const& closed) {
    auto& w = *current_world();
    auto& own = on->ends[side];
    auto& peer = on->ends[1 - side];
    nanos const until = w.now() + patience;
    bool const calls = side == 1;  // the higher place calls the lower
    while (!closed && !own.broken && !own.connected) {
      if (w.now() >= until) return "Timed out";
      if (calls) {
        w.sleep(1 + w.below(delay));
        if (on->silent || cut_until(own.owner->rank, peer.owner->rank) > 0) {
          w.sleep(5 * millisecond);
          continue;
        }
        if (peer.broken || peer.owner->dead) return "Connection refused";
        own.connected = true;
        w.at(
            w.now() + 1 + w.below(delay),
            [on, side] {
              auto& there = on->ends[1 - side];
              there.connected = true;
              there.changed.wake_all();
            },
            peer.owner);
      } else {
        own.changed.add();
        w.wake(w.thread(), w.thread().pause, std::max<nanos>(0, until - w.now()));
        w.pause();
      }
    }
    return own.connected && !own.broken ? "" : closed ? "closed" : own.why;
  }

 private:
  /// Channels of programs are numbers of 32 bits; higher slots are the mesh's own.
  static constexpr std::uint64_t first_own_slot = std::uint64_t{1} << 32U;

  /// Brings what is due to an end's machine.
  void carry(std::shared_ptr<wire> const& on, std::size_t side) {
    auto& w = *current_world();
    auto& to = on->ends[side];
    auto const* const from = on->ends[1 - side].owner;
    if (!to.owner || to.owner->dead || !from) return;
    if (on->silent) return to.coming.clear();
    if (auto const until = cut_until(from->rank, to.owner->rank); until > 0) {
      if (until < for_ever)
        w.at(until + w.below(sent_again_after), [this, on, side] { carry(on, side); });
      return;
    }
    bool any = false;
    for (; !to.coming.empty() && to.coming.front().due <= w.now(); any = true) {
      to.there.push_back(std::move(to.coming.front()));
      to.coming.pop_front();
    }
    if (any) w.at(w.now() + w.below(w.latency), [this, on, side] { take(on, side); }, to.owner);
  }
  /// The end's process takes what has come.
  void take(std::shared_ptr<wire> const& on, std::size_t side);
  void match(std::shared_ptr<wire> const& on, std::size_t side, std::uint64_t slot);

  std::map<std::string, std::shared_ptr<wire>> wires_{};

  friend class virtual_message;
};

/// As Gloo's unbound buffers.
class virtual_message {
 public:
  virtual_message(network& net,
                  std::vector<std::pair<std::shared_ptr<wire>, std::size_t>> const& to, void* bytes,
                  std::size_t size)
      : net_(net), to_(to), bytes_(static_cast<std::byte*>(bytes)), size_(size) {}
  virtual_message(virtual_message const&) = delete;
  virtual_message& operator=(virtual_message const&) = delete;
  ~virtual_message() {
    for (auto const& o : begun_) o->buffer = nullptr;
  }

  void send(int peer, std::uint64_t slot) {
    auto const& [on, side] = to_[static_cast<std::size_t>(peer)];
    auto& own = on->ends[side];
    if (own.broken) throw std::runtime_error(own.why);
    auto const o = begun_.emplace_back(std::make_shared<operation_begun>(this));
    own.sends.push_back(o);
    net_.send(on, side, {.slot = slot, .bytes = {bytes_, bytes_ + size_}, .sent = o});
  }
  void recv(int peer, std::uint64_t slot) {
    auto const& [on, side] = to_[static_cast<std::size_t>(peer)];
    auto& own = on->ends[side];
    if (own.broken) throw std::runtime_error(own.why);
    own.receives[slot].push_back(begun_.emplace_back(std::make_shared<operation_begun>(this)));
    net_.match(on, side, slot);
  }
  bool waitRecv(int*, std::chrono::nanoseconds timeout) { return wait(received_, timeout); }
  bool waitSend(int*, std::chrono::nanoseconds timeout) { return wait(sent_, timeout); }
  void abortWaitRecv() { abort(); }
  void abortWaitSend() { abort(); }

 private:
  friend class network;

  bool wait(int& done, std::chrono::nanoseconds timeout) {
    auto& w = *current_world();
    w.maybe_switch();
    aborted_ = false;  // an abort before the wait is dropped
    bool const for_ever = timeout > std::chrono::hours(24);
    nanos const until = for_ever ? network::for_ever : w.now() + timeout.count();
    while (done == 0 && failed_.empty() && !aborted_) {
      if (w.now() >= until) throw std::runtime_error("Timed out");
      changed_.add();
      if (!for_ever) w.wake(w.thread(), w.thread().pause, until - w.now());
      w.pause();
    }
    if (!failed_.empty()) throw std::runtime_error(failed_);
    if (done == 0) return false;
    --done;
    std::erase_if(begun_, [](auto const& o) { return o.use_count() == 1; });
    return true;
  }
  void abort() {
    aborted_ = true;
    changed_.wake_all();
  }

  network& net_;
  std::vector<std::pair<std::shared_ptr<wire>, std::size_t>> const& to_;
  std::byte* const bytes_;
  std::size_t const size_;
  std::vector<std::shared_ptr<operation_begun>> begun_{};
  int sent_ = 0, received_ = 0;
  bool aborted_ = false;
  std::string failed_{};
  waiting_threads changed_{};
};

inline void network::break_off(wire& on, std::size_t side, std::string const& why) {
  auto& own = on.ends[side];
  if (own.broken) return;
  own.broken = true;
  own.why = why;
  auto const fail = [&](auto const& o) {
    if (!o->buffer) return;
    o->buffer->failed_ = why;
    o->buffer->changed_.wake_all();
  };
  for (auto const& o : own.sends) fail(o);
  for (auto const& [slot, all] : own.receives)
    for (auto const& o : all) fail(o);
  own.changed.wake_all();
}

inline void network::take(std::shared_ptr<wire> const& on, std::size_t side) {
  auto& own = on->ends[side];
  while (!own.there.empty() && !own.broken && !own.deaf) {
    packet p = std::move(own.there.front());
    own.there.pop_front();
    switch (p.what) {
      case packet::kind::bytes: {
        auto const slot = p.slot;
        own.arrived[slot].push_back(std::move(p));
        match(on, side, slot);
        break;
      }
      case packet::kind::taken: {
        std::erase(own.sends, p.sent);
        own.mute = own.mute || !p.sent->buffer;
        if (own.mute) {
          messages_without_buffer += !p.sent->buffer && p.slot < first_own_slot;
          break;
        }
        ++p.sent->buffer->sent_;
        p.sent->buffer->changed_.wake_all();
        break;
      }
      case packet::kind::end: break_off(*on, side, "Connection closed by peer"); break;
    }
  }
}

inline void network::match(std::shared_ptr<wire> const& on, std::size_t side, std::uint64_t slot) {
  auto& own = on->ends[side];
  auto& arrived = own.arrived[slot];
  auto& receives = own.receives[slot];
  while (!arrived.empty() && !receives.empty() && !own.broken && !own.deaf) {
    auto const p = std::move(arrived.front());
    auto const o = std::move(receives.front());
    arrived.pop_front();
    receives.pop_front();
    own.deaf = !o->buffer;
    if (own.deaf) {
      messages_without_buffer += slot < first_own_slot;
      return;
    }
    if (p.bytes.size() != o->buffer->size_) throw std::logic_error("a message of another size");
    std::copy(p.bytes.begin(), p.bytes.end(), o->buffer->bytes_);
    ++o->buffer->received_;
    o->buffer->changed_.wake_all();
    send(on, side, {.what = packet::kind::taken, .slot = slot, .sent = p.sent});
  }
}

}  // namespace shunt::tests::simulated
