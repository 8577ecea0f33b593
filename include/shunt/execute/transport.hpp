#pragma once
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>
#include <stdexcept>

#include "shunt/core/id.hpp"

namespace shunt {

/// Thrown where a peer has failed: its heartbeat stopped, or its connection closed.
class peer_lost : public std::runtime_error {
 public:
  explicit peer_lost(rank_id peer);
  [[nodiscard]] rank_id peer() const noexcept { return peer_; }

 private:
  rank_id peer_;
};

/// Thrown where another rank lost a peer and cancelled the run.
class run_aborted : public std::runtime_error {
 public:
  run_aborted();
};

/// One rank's end of a network. Messages of one (sender, receiver, channel) arrive in order.
/// Channels may be negative. `send` returns when the bytes may be overwritten. `receive` waits for
/// the next message, which must have the size of the span. Both throw peer_lost, naming the rank,
/// or run_aborted, and never hang on a dead peer. `flush` returns when all sent messages have been
/// handed to the network. `close` ends the rank's part: a peer that waits for more gets an error.
///
/// Threads: the library calls one end from one thread at a time.
template <class T>
concept transport = requires(T& t, rank_id peer, std::int32_t channel,
                             std::span<std::byte const> out, std::span<std::byte> in) {
  { t.rank() } -> std::same_as<rank_id>;
  { t.size() } -> std::convertible_to<std::int32_t>;
  t.send(peer, channel, out);
  t.receive(peer, channel, in);
  t.flush();
  t.close();
};

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/execute/transport.ipp"
#endif
